#!/usr/bin/env python3
"""Traces one run from outside and, by the guest's own tracers, from inside; prints what each saw and what inside cost, as Markdown.

usage: scripts/native.py [--kernel NAME] [--workload NAME]... [--keep DIR]

Needs what scripts/run-qemu.sh needs, and trace-cmd and perf (apt-get install trace-cmd linux-perf), which go into the guest
too. Everything is deterministic: the same versions give the same page.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GUESTTRACE = PROJECT / "target/release/guesttrace"
TRACERS = {"trace-cmd": "trace.dat", "perf": "perf.data"}
# What the kernel's own tracers are asked for, from a little to what LTT's core events are and system calls with it.
CHOICES = {
    "scheduling": "sched:sched_switch,sched:sched_waking",
    "core": None,
}


def run(command):
    """Standard output of a command that has to succeed."""
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.PIPE, text=True).stdout


def record(kernel, tool, workload, trace, tracer, events):
    """Records a run; the tracer's file goes beside the trace."""
    guest = PROJECT / f"images/build/guest/{kernel}+{tool}"
    command = [GUESTTRACE, "record", "--trace", trace, "--serial", trace.with_suffix(".console"), "--quiet"]
    command += ["--kernel", PROJECT / f"images/build/kernels/{kernel}/vmlinuz"]
    command += ["--initrd", guest / "initrd.cpio", "--rootfs", guest / "rootfs.img", "--workload", workload]
    command += ["--native", tracer, *(["--native-events", events] if events else [])]
    run(command)


def compare(trace, native, base):
    """What `compare` says, by table: a record, or rows."""
    command = [GUESTTRACE, "compare", trace, native, "--base", base, "--format", "json"]
    return json.loads(subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=False).stdout)


def row(*cells):
    """A row of a table."""
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def head(*names):
    """The head of a table."""
    row(*names)
    row(*("---" for _ in names))


def measure(kernel, workloads, directory):
    """Records and compares everything; yields what is known of each combination."""
    for tool, suffix in TRACERS.items():
        subprocess.run([PROJECT / "images/build.sh", "--kernel", kernel, "--with", tool], check=True, stdout=sys.stderr)
        for workload in workloads:
            base = directory / f"{workload}-{tool}-none.bin"
            record(kernel, tool, workload, base, "none", None)
            for choice, events in CHOICES.items():
                print(f"{workload}, {tool}, {choice}", file=sys.stderr)
                trace = directory / f"{workload}-{tool}-{choice}.bin"
                record(kernel, tool, workload, trace, tool, events)
                native = trace.with_suffix(f".{suffix}")
                yield workload, tool, choice, native.stat().st_size, compare(trace, native, base)


def version_of(tool):
    """The line in which a tool tells its version; trace-cmd fails when it is asked."""
    output = subprocess.run([tool, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
    return next(line.strip() for line in output.splitlines() if "version" in line)


def print_page(kernel, found):
    """Prints the page."""
    versions = ", ".join(version_of(tool) for tool in TRACERS)
    print("# The kernel's own tracers, seen from outside\n")
    print("Printed by `scripts/native.py`; the runs are deterministic, so it prints the same again.")
    print(f"Guest {kernel}, 1 CPU; {versions}.\n")
    print("LTT's paper asks what tracing costs the system that is traced. Here the system is traced twice in one run: by its own")
    print("kernel, and from outside, which costs it nothing: not one instruction. So what its own tracer costs can be counted:")
    print("instructions between two marks around the workload, with the tracer and without.\n")
    head("workload", "tracer", "events", "recorded inside", "instructions without", "with", "more", "for each event", "bytes for each event")
    for workload, tool, choice, size, said in found:
        cost = said["cost"]
        count = cost["inside_events"]
        row(
            workload, tool, choice, f"{count:,}", f"{cost['without_instructions']:,}", f"{cost['with_instructions']:,}",
            f"{cost['added_percent']} %", cost["instructions_per_event"], f"{size / max(count, 1):.1f}",
        )
    print("\n`scheduling` is sched_switch and sched_waking, `core` what `record --native` switches on unless told otherwise.")
    print("Instructions are those of the whole guest, the tracer's own programs included, which trace-cmd runs for each CPU.\n")
    print("## Who saw what\n")
    print("Events between the first and the last scheduling change that both have; an event is the same when thread, CPU and")
    print("kind are, and the stamp inside is at most 200 us behind ours. perf has a clock of its own and no number for a thread")
    print("that ends, so a few of its events find no partner although both sides have as many.\n")
    head("workload", "tracer", "events", "outside", "inside", "both", "missed inside", "missed outside", "lost, as it says itself")
    for workload, tool, choice, _, said in found:
        total = {name: sum(one[name] for one in said["events"]) for name in ("outside", "inside", "both", "missed_inside", "missed_outside")}
        row(workload, tool, choice, *(f"{number:,}" for number in total.values()), said["window"]["told_lost_events"])
    print("\nKinds of events of which one side missed some:\n")
    head("workload", "tracer", "events", "event", "outside", "inside", "missed inside", "missed outside")
    for workload, tool, choice, _, said in found:
        for one in said["events"]:
            if one["missed_inside"] or one["missed_outside"]:
                row(workload, tool, choice, one["event"], one["outside"], one["inside"], one["missed_inside"], one["missed_outside"])


def main():
    """Records, compares, prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", default="6.1-amd64", help="a kernel of images/fetch-kernel.sh")
    parser.add_argument("--workload", action="append", help="default: mix and desktop")
    parser.add_argument("--keep", type=Path, help="keep the traces in this directory")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        directory = args.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        print_page(args.kernel, list(measure(args.kernel, args.workload or ["mix", "desktop"], directory)))


if __name__ == "__main__":
    main()
