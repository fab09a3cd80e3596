#!/usr/bin/env python3
"""Looks into a trace with nothing but Python's own library, in cells as a notebook has them.

usage: analyse_trace.py TRACE

guesttrace is taken from the environment variable GUESTTRACE, else from PATH.
"""

# %% Where the events come from: one JSON object a line, as many as there are, none kept.
import collections
import json
import os
import subprocess
import sys

TRACE = sys.argv[1] if len(sys.argv) > 1 else "out.bin"
GUESTTRACE = os.environ.get("GUESTTRACE", "guesttrace")


def events(*options):
    """The events of the trace, with the options of `guesttrace events`."""
    command = [GUESTTRACE, "events", TRACE, "--format", "json", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            if "gap" in event:
                print(f"events are missing: {event['gap']}", file=sys.stderr)
            else:
                yield event


def report(name, *options):
    """A report: a dictionary of tables."""
    command = [GUESTTRACE, "report", name, TRACE, "--format", "json", *options]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


# %% What is in it.
counts = collections.Counter(event["event"] for event in events())
print(f"{sum(counts.values())} events of {len(counts)} kinds; the most frequent:")
for name, count in counts.most_common(5):
    print(f"  {count:8} {name}")

# %% The tree of processes, from forks and names.
parents, names = {}, {}
for event in events("--event", "sched_process_fork,sched_process_exec,task_rename"):
    fields = event["fields"]
    if event["event"] == "sched_process_fork":
        parents[fields["child_pid"]] = event["tid"]
        names.setdefault(fields["child_pid"], fields["child_comm"])
    elif event["event"] == "sched_process_exec":
        names[event["tid"]] = fields["filename"].rsplit("/", 1)[-1]
    else:
        names[fields["pid"]] = fields["newcomm"]
children = collections.defaultdict(list)
for child, parent in parents.items():
    children[parent].append(child)


def show(tid, depth=0):
    """Prints a process and what it made."""
    print(f"  {'  ' * depth}{names.get(tid, '?')} {tid}")
    for child in children[tid]:
        show(child, depth + 1)


print("Processes below the first:")
show(1)

# %% How long system calls take, by name: from the entry to the exit of the same thread.
entered, lengths = {}, collections.defaultdict(list)
for event in events("--event", "syscall_entry,syscall_exit"):
    if event["event"] == "syscall_entry":
        entered[event["tid"]] = event
    elif event["tid"] in entered:
        entry = entered.pop(event["tid"])
        lengths[entry["fields"]["name"]].append(event["time_ns"] - entry["time_ns"])
print("System calls that take longest in all:")
for name, times in sorted(lengths.items(), key=lambda item: -sum(item[1]))[:5]:
    print(f"  {name or '?':16} {len(times):6} calls {sum(times) / 1e6:12.3f} ms, longest {max(times) / 1e6:.3f} ms")

# %% The same from the report, which must agree. It also knows that a new thread leaves the call that made it, and that a
# program is entered by the end of an execve that another one began: those calls have more ends than entries.
TWICE = {"clone", "clone3", "fork", "vfork", "execve"}
told = {row["name"]: row for row in report("syscalls", "--top", "1000000")["calls"]}
differ = [
    name
    for name, times in lengths.items()
    if name not in TWICE and (told[name]["count"], told[name]["total_ns"]) != (len(times), sum(times))
]
print(f"{len(lengths)} kinds of calls; the report says otherwise of {len(differ)} {' '.join(differ)}".rstrip())
