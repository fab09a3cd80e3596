#!/usr/bin/env python3
"""Holds `report timehist` against `perf sched timehist` of the same boot, turn by turn, and prints the agreement as Markdown.

usage: scripts/perf-sched.py [--kernel NAME]

perf records workload mix in the guest, on the guest's own kernel (`record --native perf`). Needs what scripts/run-qemu.sh
needs, and perf (apt-get install linux-perf), which goes into the guest too.
"""

import csv
import json
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GUESTTRACE = PROJECT / "target/release/guesttrace"
# What `perf sched record` asks for, as far as the kernel has it.
EVENTS = "sched:sched_switch,sched:sched_wakeup,sched:sched_wakeup_new,sched:sched_migrate_task,sched:sched_process_fork"


def run(command, **options):
    """Standard output of a command that has to succeed."""
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def record(kernel, directory):
    """Records the workload; gives our trace and perf's file."""
    subprocess.run([PROJECT / "images/build.sh", "--kernel", kernel, "--with", "perf"], check=True, stdout=sys.stderr)
    guest, trace = PROJECT / f"images/build/guest/{kernel}+perf", directory / "trace.bin"
    command = [GUESTTRACE, "record", "--trace", trace, "--serial", directory / "console", "--quiet"]
    command += ["--kernel", PROJECT / f"images/build/kernels/{kernel}/vmlinuz"]
    command += ["--initrd", guest / "initrd.cpio", "--rootfs", guest / "rootfs.img", "--workload", "mix"]
    subprocess.run([*command, "--native", "perf", "--native-events", EVENTS], check=True)
    return trace, trace.with_suffix(".perf.data")


def turns_of_perf(data):
    """Thread, and wait, delay and run time in nanoseconds, of each turn that perf shows; times are cut to microseconds."""
    row = re.compile(r"\s*[\d.]+ \[\d+\]\s+(.*\S)\s+([\d.]+)\s+([\d.]+)\s+([\d.]+)\s*$")
    turns = []
    for line in run(["perf", "sched", "timehist", "-i", data], stderr=subprocess.DEVNULL).splitlines():
        found = row.match(line)
        if found and not found[1].startswith("<idle>"):
            # Which thread ends perf cannot tell any more: it shows -1.
            tid = int(re.search(r"\[(-?\d+)", found[1])[1])
            turns.append((tid, *(round(float(time) * 1e6) for time in found.groups()[1:])))
    return turns


def turns_of_ours(trace):
    """The same of `report timehist`; a time that it does not know is 0, as perf has it."""
    text = run([GUESTTRACE, "report", "timehist", trace, "--format", "csv"])
    lines = [line for line in text.splitlines() if line.startswith(("table,at_ns", "timehist,"))]
    number = lambda text: int(text) if text else 0
    return [
        (int(row["thread"].rsplit(":", 1)[1]), *(number(row[name]) for name in ("wait_ns", "delay_ns", "run_ns")))
        for row in csv.DictReader(lines)
    ]


def place(ours, theirs):
    """Where their sequence of threads is in ours."""
    for start in range(len(ours) - len(theirs) + 1):
        if all(their[0] in (-1, our[0]) for their, our in zip(theirs, ours[start:])):
            return start
    sys.exit("error: the threads do not have the CPU in the same order")


def main():
    """Records, compares, prints."""
    kernel = sys.argv[2] if sys.argv[1:2] == ["--kernel"] else "6.1-amd64"
    if sys.argv[1:2] in (["--help"], ["-h"]):
        return print(__doc__)
    with tempfile.TemporaryDirectory() as directory:
        trace, data = record(kernel, Path(directory))
        theirs, ours = turns_of_perf(data), turns_of_ours(trace)
        header = json.loads(run([GUESTTRACE, "info", trace, "--format", "json"]))
        version = run(["perf", "--version"]).split()[-1]
    # Of a thread's first turn perf knows neither since when it waits nor when it got the CPU.
    first, seen = place(ours, theirs), set()
    pairs = []
    for their, our in zip(theirs, ours[first:]):
        if our[0] in seen:
            pairs.append((their, our))
        seen.add(our[0])
    ended = sum(their[0] == -1 for their in theirs)
    print(f"Guest {kernel}, perf {version} in the guest and on the host, {len(header['cpus'])} CPU.\n")
    print("| what | figure |\n|---|---|")
    print(f"| turns that perf shows; threads | {len(theirs)}; {len(seen)} |")
    print(f"| in the same order; of threads that end, which perf calls -1 | {len(theirs)}; {ended} |")
    for name, column in ("run time", 3), ("wait", 1), ("delay", 2):
        # What a thread did before its end perf has lost with its number; a delay of 0 is one that it did not see.
        known = [(their, our) for their, our in pairs if column == 3 or (their[0] != -1 and their[column])]
        differences = sorted(abs(our[column] - their[column]) for their, our in known)
        shown = statistics.median(differences), differences[len(differences) * 99 // 100], differences[-1]
        text = ", ".join(f"{value / 1000:.1f}" for value in shown)
        print(f"| {name}: turns compared; difference in us, median, 99 %, most | {len(differences)}; {text} |")


if __name__ == "__main__":
    main()
