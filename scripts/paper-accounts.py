#!/usr/bin/env python3
"""Repeats the accounts of LTT's paper (USENIX 2000, figures 6, 8, 9 and 10) and prints them, beside the paper's, as Markdown.

usage: scripts/paper-accounts.py >docs/paper/accounts.md

Records the workloads accounts, workstation, ftp and yield on the project's own guest, some ten seconds each, and asks the
guest's own tools and gprof of the same runs. Needs what scripts/run-qemu.sh needs, and binutils.
"""

import base64
import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
GUESTTRACE = PROJECT / "target/release/guesttrace"
TICKS_PER_SECOND = 100


class Run:
    """A recording, with what the guest printed."""

    def __init__(self, workload, directory):
        self.trace, console = directory / f"{workload}.bin", directory / f"{workload}.log"
        command = [PROJECT / "scripts/run-qemu.sh", "--trace", self.trace, "--serial", console, "--workload", workload]
        subprocess.run([*command, "--events", "core,block", "--quiet"], check=True, stdout=sys.stderr)
        self.lines = console.read_text(errors="replace").replace("\r", "").splitlines()

    def section(self, title):
        """What the guest printed below a title, up to the next."""
        start = next(index for index, line in enumerate(self.lines) if line.startswith(f"== {title}"))
        end = next(index for index in range(start + 1, len(self.lines)) if self.lines[index].startswith("== "))
        return self.lines[start + 1 : end]

    def events(self, *options):
        """Events, each a dictionary."""
        command = [GUESTTRACE, "events", self.trace, "--format", "json", *options]
        lines = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
        return [event for event in map(json.loads, lines) if "gap" not in event]

    def report(self, name, *options):
        """A report: tables by name."""
        command = [GUESTTRACE, "report", name, self.trace, "--format", "json", "--top", "1000", *options]
        return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def mark(self, text):
        """Time of a mark in the kernel's log."""
        found = self.events("--filter", f'event == printk && text == "guesttrace: mark {text}"')
        return found[0]["time_ns"]


def table(titles, rows):
    """A table of Markdown, with numbers to the right."""
    print("| " + " | ".join(titles) + " |")
    print("|---|" + "---:|" * (len(titles) - 1))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    print()


def figure_6(run):
    """A process waits for the disk: its call from entry to exit."""
    name, pid = next(line.split()[2:4] for line in run.lines if line.startswith("== account filer"))
    pid = int(pid)
    entry = next(e for e in run.events("--event", "syscall_entry", "--pid", str(pid)) if e["fields"]["name"] == "fsync")
    leave = next(e for e in run.events("--event", "syscall_exit", "--pid", str(pid)) if e["fields"]["name"] == "fsync")
    start, end = entry["time_ns"], leave["time_ns"]
    wanted = "syscall_entry,syscall_exit,sched_switch,sched_waking,irq_handler_entry,irq_handler_exit,block_rq_*"
    events = run.events("--event", wanted, "--from", f"{start}ns", "--to", f"{end + 1}ns")
    print("## Figure 6: a process waits for I/O\n")
    print(f"`{name}` of workload `accounts` calls fsync; times in microseconds since then.\n")
    print("```text")
    state, since, spent = "running", start, collections.Counter()
    for event in events:
        fields, at = event["fields"], event["time_ns"]
        shown = {key: fields[key] for key in list(fields)[:7] if key not in ("prev_prio", "prev_comm", "next_comm", "ip")}
        details = ", ".join(f"{key} {value}" for key, value in shown.items())
        print(f"{event['event']:<18} {(at - start) / 1000:>10.3f} {event['tid']:>5}  {details}")
        new = state
        if event["event"] == "sched_switch" and fields["prev_pid"] == pid:
            new = "runnable" if fields["prev_state"] in ("R", "R+") else "waiting"
        elif event["event"] == "sched_switch" and fields["next_pid"] == pid:
            new = "running"
        elif event["event"] == "sched_waking" and fields["pid"] == pid and state == "waiting":
            new = "runnable"
        if new != state:
            spent[state] += at - since
            state, since = new, at
    spent[state] += end - since
    print("```\n")
    calls = run.report("slowest", "--pid", str(pid))["slowest"]
    told = next(call for call in calls if call["name"] == "fsync")
    columns = {"running": "running_ns", "runnable": "runnable_ns", "waiting": "blocked_ns"}
    rows = [(s, spent[s], told[c], told[c] - spent[s]) for s, c in columns.items()]
    rows.append(("the whole call", end - start, told["length_ns"], told["length_ns"] - (end - start)))
    table(["state (ns)", "by hand from these events", "`report slowest`", "difference"], rows)


def ps_percent(run, pids):
    """What ps would have said on average: of each reading, the time used by the time since the start; 0 of who is over."""
    readings, uptime = [], 0.0
    for line in run.section("ps"):
        if re.fullmatch(r"[0-9.]+ [0-9.]+", line):
            uptime = float(line.split()[0])
            readings.append(0.0)
            continue
        pid, rest = int(line.split()[0]), line.rsplit(")", 1)[-1].split()
        if pid in pids and readings:
            used = (int(rest[11]) + int(rest[12])) / TICKS_PER_SECOND
            lived = max(uptime - int(rest[19]) / TICKS_PER_SECOND, 1 / TICKS_PER_SECOND)
            readings[-1] += 100 * used / lived
    return sum(readings) / max(len(readings), 1)


def accounts(run, applications):
    """Figures 8 and 9: applications, each a name and the names of its threads."""
    start, end = run.mark("accounts-begin"), run.mark("accounts-end")
    part = ["--from", f"{start}ns", "--to", f"{end}ns"]
    report, waits = run.report("processes", *part), collections.Counter()
    for process in report.get("processes", []):
        waits[process["pid"]] += process.get("io_wait_ns") or 0
    percent = lambda time: f"{100 * time / (end - start):.2f}"
    script = int(next(line for line in run.lines if line.startswith("== ps ")).split()[2])
    rows = []
    for name, comms in applications:
        threads = [t for t in report["threads"] if t["comm"] in comms]
        pids = {thread["pid"] for thread in threads}
        rows.append(account(name, threads, waits, ps_percent(run, pids), percent))
    family = {script}
    for thread in report["threads"]:
        if thread["ppid"] in family:
            family.add(thread["pid"])
    threads = [thread for thread in report["threads"] if thread["pid"] in family]
    rows.append(account("ps script", threads, waits, ps_percent(run, family), percent))
    table(["application", "ps", "user", "running", "wait I/O"], rows)
    system = {row["what"]: row["percent"] for row in report["system"]}
    print(f"{system['kernel']:.2f} % of the time went to kernel code, {system['idle']:.2f} % to nothing.\n")


def account(name, threads, waits, ps, percent):
    user = sum(thread["user_ns"] for thread in threads)
    running = sum(thread["running_ns"] for thread in threads)
    waiting = sum(waits[pid] for pid in {thread["pid"] for thread in threads})
    return name, f"{ps:.2f}", percent(user), percent(running), percent(waiting)


def figure_10(run, directory):
    """A program that computes and yields: gprof, time and the trace."""
    gmon = directory / "gmon.out"
    gmon.write_bytes(base64.b64decode("".join(run.section("gmon"))))
    program = PROJECT / "images/build/guest/6.1-amd64/yield"
    flat = subprocess.run(["gprof", "-b", "-p", program, gmon], stdout=subprocess.PIPE, check=True, text=True).stdout
    by_gprof = {line.split()[-1]: float(line.split()[2]) for line in flat.splitlines() if re.search(r" fct_[AB]$", line)}
    words = run.section("time")[-1].split()
    real, user, system = (float(words[index]) for index in (1, 3, 5))
    thread = next(t for t in run.report("processes")["threads"] if t["comm"] == "yield")
    calls = run.report("syscalls", "--pid", str(thread["pid"]))["calls"]
    yields = next(call for call in calls if call["name"] == "sched_yield")
    signals = next((call["count"] for call in calls if call["name"] == "rt_sigreturn"), 0)
    seconds = lambda time: f"{time / 1e9:.3f}"
    running = thread["running_ns"]
    rows = [
        ("fct_A", f"{by_gprof.get('fct_A', 0):.2f}", "-", "-"),
        ("fct_B", f"{by_gprof.get('fct_B', 0):.2f}", "-", "-"),
        ("process code", f"{sum(by_gprof.values()):.2f}", f"{user:.2f}", seconds(thread["user_ns"])),
        ("kernel", "-", f"{system:.2f}", seconds(running - thread["user_ns"])),
        ("in sched_yield", "-", "-", seconds(yields["total_ns"])),
        ("scheduled", "-", f"{user + system:.2f}", seconds(running)),
        ("from start to end", "-", f"{real:.2f}", "-"),
    ]
    print("## Figure 10: a program that computes and gives its CPU away\n")
    print(f"Ten million rounds of `fct_A`, {yields['count']} calls of sched_yield in `fct_B`; seconds.\n")
    table(["", "gprof", "time", "guesttrace"], rows)
    print(f"gprof's timer went off {signals} times. It samples what the program does in its own code, so that the calls")
    print("in `fct_B` go unnoticed, as in the paper: 250 ms by gprof of 3.28 s that it was scheduled.\n")


def main():
    print("# Accounts of processes, as in LTT's paper\n")
    print("Made by `scripts/paper-accounts.py`: figures 6, 8, 9 and 10 of the paper, with programs of today in a guest on")
    print("Debian's 6.1 kernel, one CPU, deterministic; in percent of the time of the run where nothing else is said.")
    print("ps is what ps computes, from the same files, at each reading of the script beside the applications.\n")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        figure_6(Run("accounts", directory))
        print("## Figure 8: a workstation\n")
        desktop = [("display server and clients", {"exercise"}), ("sort", {"sort"}), ("find", {"find"}), ("tr", {"tr"})]
        accounts(Run("workstation", directory), desktop)
        print("The paper: netscape 3.25 by ps, 15.43 user, 17.17 running, 1.85 waiting for I/O.\n")
        print("## Figure 9: an FTP server\n")
        server = [("ftp #1", {"ftp-one"}), ("ftp #2", {"ftp-two"}), ("ftpget", {"ftpget"})]
        accounts(Run("ftp", directory), server)
        print("The paper: ftp #1 13.1 by ps, 0.29 user, 10.92 running, 0.26 waiting for I/O; 94.71 % kernel.\n")
        figure_10(Run("yield", directory), directory)


if __name__ == "__main__":
    main()
