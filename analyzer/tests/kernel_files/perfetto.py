#!/usr/bin/env python3
"""Counts the ftrace events of a trace of Perfetto and sums up what they hold: the other side of perfetto.rs.

usage: perfetto.py TRACE
"""

import collections
import sys

NAMES = {4: "sched_switch", 11: "cpu_frequency", 13: "cpu_idle", 17: "sched_wakeup", 20: "sched_waking",
         235: "task_newtask", 236: "task_rename", 238: "sched_process_exit"}
# Fields that are summed up, by kind of event: prev_pid, pid and state, as far as it has them.
SUMMED = {4: (2,), 11: (1,), 13: (1,), 17: (2,), 20: (2,), 235: (1,), 236: (1,), 238: (2,)}


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def fields(data):
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 2:
            length, at = varint(data, at)
            value, at = data[at:at + length], at + length
        else:
            length = {1: 8, 5: 4}[kind]
            value, at = int.from_bytes(data[at:at + length], "little"), at + length
        yield tag >> 3, value


def signed(number):
    return number - (1 << 64) if number >> 63 else number


def events(trace):
    for number, packet in fields(trace):
        for part, bundle in fields(packet) if number == 1 else ():
            if part != 1:
                continue
            parts = list(fields(bundle))
            cpu = next((value for key, value in parts if key == 1), 0)
            for event in (value for key, value in parts if key == 2):
                yield cpu, list(fields(event))


def main():
    counts, rows = collections.Counter(), []
    with open(sys.argv[1], "rb") as file:
        trace = file.read()
    for cpu, event in events(trace):
        ticks = next(value for key, value in event if key == 1)
        kind, body = next((key, value) for key, value in event if isinstance(value, bytes))
        counts[NAMES[kind]] += 1
        numbers = [signed(value) for key, value in fields(body) if key in SUMMED[kind] and isinstance(value, int)]
        rows.append((ticks, cpu, sum(numbers)))
    total = 0
    for index, (ticks, cpu, number) in enumerate(sorted(rows)):
        # The remainder has the sign of the sum, as in Rust.
        value = total * 31 + ticks + cpu + number + index
        total = abs(value) % 1_000_000_007 * (1 if value >= 0 else -1)
    for name in sorted(counts):
        print(name, counts[name])
    print("sum", total)


main()
