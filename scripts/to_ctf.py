#!/usr/bin/env python3
"""Writes events as a CTF 1.8 trace in the layout of LTTng's kernel channels, for scripts/bench.sh to read elsewhere.

usage: guesttrace events TRACE --format json | to_ctf.py EVENTS DIR

EVENTS is what `guesttrace list events --format json` prints; the trace goes to DIR, which must not exist. Only for traces
of one CPU. An event has a header of six bytes as in LTTng, 32-bit numbers where that is enough for all of its kind, and
zero-terminated text. Whose an event is, and what only names a number (a system call), is left out, as LTTng does.
"""

import json
import os
import struct
import sys
import uuid

PACKET_BYTES = 256 << 10
UUID = uuid.UUID("67756573-7474-7261-6365-000000000002")
CONTEXT = "QQQQQQI"
PACKET_HEADER_BYTES = 4 + 16 + 4
HEAD_BYTES = PACKET_HEADER_BYTES + struct.calcsize("<" + CONTEXT)

METADATA = """/* CTF 1.8 */
typealias integer { size = 8; align = 8; signed = false; } := u8;
typealias integer { size = 16; align = 8; signed = false; } := u16;
typealias integer { size = 32; align = 8; signed = false; } := u32;
typealias integer { size = 64; align = 8; signed = false; } := u64;
typealias integer { size = 32; align = 8; signed = true; } := s32;
typealias integer { size = 64; align = 8; signed = true; } := s64;
typealias integer { size = 64; align = 8; signed = false; base = 16; } := x64;
trace { major = 1; minor = 8; uuid = "%s"; byte_order = le;
  packet.header := struct { u32 magic; u8 uuid[16]; u32 stream_id; }; };
clock { name = "tsc"; freq = 1000000000; };
typealias integer { size = 64; align = 8; signed = false; map = clock.tsc.value; } := u64clock;
typealias integer { size = 32; align = 8; signed = false; map = clock.tsc.value; } := u32clock;
stream { id = 0;
  packet.context := struct { u64clock timestamp_begin; u64clock timestamp_end; u64 content_size; u64 packet_size;
    u64 packet_seq_num; u64 events_discarded; u32 cpu_id; };
  event.header := struct { u16 id; u32clock timestamp; }; };
"""


class Kind:
    """An event of one name: what type each field has."""

    def __init__(self, number, row):
        self.number, self.name, self.fields = number, row["name"], []
        self.types = {field["name"]: field["type"] for field in row["fields"]}
        self.labels = {}

    def learn(self, name, values):
        """Chooses the type of a field by all of its values; an enumeration becomes numbers."""
        wanted = self.types[name]
        if wanted.startswith("enum:syscall"):
            return
        if wanted in ("string", "text"):
            self.fields.append((name, "string", None))
        elif wanted.startswith("enum:"):
            labels = sorted({value for value in values if isinstance(value, str)})
            self.labels[name] = {label: 1000 + index for index, label in enumerate(labels)}
            self.fields.append((name, "u32", "I"))
        elif any(isinstance(value, str) for value in values):
            self.fields.append((name, "x64", "Q"))
        else:
            fits = all(-2**31 <= value < 2**31 for value in values if value is not None)
            self.fields.append((name, *(("s32", "i") if fits else ("s64", "q"))))

    def declaration(self):
        lines = []
        for name, kind, _ in self.fields:
            if name in self.labels:
                labels = ", ".join(f'"{label}" = {value}' for label, value in self.labels[name].items())
                kind = f"enum : u32 {{ {labels} }}" if labels else kind
            lines.append(f"{kind} _{name};")
        return f'event {{ name = "{self.name}"; id = {self.number}; stream_id = 0; fields := struct {{ {" ".join(lines)} }}; }};\n'

    def encode(self, tsc, fields):
        parts = [struct.pack("<HI", self.number, tsc & 0xFFFFFFFF)]
        for name, _, layout in self.fields:
            value = fields.get(name)
            if layout is None:
                parts.append((value or "").encode().replace(b"\0", b"") + b"\0")
            elif name in self.labels:
                parts.append(struct.pack("<I", self.labels[name].get(value, value if isinstance(value, int) else 0)))
            else:
                number = int(value, 16) if isinstance(value, str) else value or 0
                parts.append(struct.pack("<" + layout, number & 2**64 - 1 if layout == "Q" else number))
        return b"".join(parts)


def packets(records):
    """Packs (stamp, bytes) into packets, each filled up to its size."""
    sequence, held, used = 0, [], HEAD_BYTES
    for record in records:
        # The header of an event has 32 bits of its stamp, the packet's has all.
        if used + len(record[1]) > PACKET_BYTES or (held and record[0] - held[-1][0] >= 1 << 32):
            yield packet(sequence, held, used)
            sequence, held, used = sequence + 1, [], HEAD_BYTES
        held.append(record)
        used += len(record[1])
    if held:
        yield packet(sequence, held, used)


def packet(sequence, held, used):
    context = (held[0][0], held[-1][0], used * 8, PACKET_BYTES * 8, sequence, 0, 0)
    head = struct.pack("<I", 0xC1FC1FC1) + UUID.bytes + struct.pack("<I", 0) + struct.pack("<" + CONTEXT, *context)
    return (head + b"".join(data for _, data in held)).ljust(PACKET_BYTES, b"\0")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as rows:
        schema = {row["name"]: row for row in map(json.loads, rows)}
    events = [json.loads(line) for line in sys.stdin]
    kinds = {}
    for name in sorted({event["event"] for event in events}):
        kind = kinds[name] = Kind(len(kinds), schema[name])
        mine = [event["fields"] for event in events if event["event"] == name]
        for field in kind.types:
            kind.learn(field, [fields.get(field) for fields in mine])
    os.mkdir(sys.argv[2])
    with open(os.path.join(sys.argv[2], "metadata"), "w", encoding="utf-8") as metadata:
        metadata.write(METADATA % UUID + "".join(kind.declaration() for kind in kinds.values()))
    records = ((event["tsc"], kinds[event["event"]].encode(event["tsc"], event["fields"])) for event in events)
    with open(os.path.join(sys.argv[2], "channel0_0"), "wb") as stream:
        for data in packets(records):
            stream.write(data)
    print(len(events))


if __name__ == "__main__":
    main()
