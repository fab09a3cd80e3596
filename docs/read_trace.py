#!/usr/bin/env python3
"""Reads a trace as FORMAT.md says, and prints each record as a line of JSON.

usage: read_trace.py TRACE

A second reader, written from the words of FORMAT.md alone: it needs python3 and the package zstandard
(Debian: python3-zstandard), and nothing of guesttrace. A line has the CPU, the TSC, the event, the fields in
the order of the schema (null where one is missing, bytes in hexadecimal) and whether it only repeats an earlier one.
Chunks come in the order of the file. Exit status: 0 whole, 3 not a whole trace.
"""

import json
import struct
import sys
import zlib

import zstandard

FILE_MAGIC = b"\x89GTR\r\n\x1a\n"
BLOCK_MAGIC = b"\xf7GTB"
CONSTANT, PLAIN, DELTA, BYTES, DICTIONARY, SCALED = range(6)
MASK = 2**64 - 1


class Bad(Exception):
    """What is not as the contract says."""


def need(holds, what):
    if not holds:
        raise Bad(what)


class Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        taken = self.data[self.at:self.at + count]
        need(len(taken) == count, "cut short")
        self.at += count
        return taken

    def unpack(self, layout):
        return struct.unpack("<" + layout, self.take(struct.calcsize("<" + layout)))

    def varint(self):
        value = 0
        for index in range(10):
            byte = self.take(1)[0]
            value |= (byte & 127) << (7 * index)
            if byte < 128:
                need(value <= MASK, "varint of more than 64 bits")
                return value
        raise Bad("varint of more than ten bytes")

    def column(self):
        encoding = self.take(1)[0]
        return encoding, Bytes(self.take(self.varint()))

    def rest(self):
        return self.take(len(self.data) - self.at)

    def end(self):
        need(self.at == len(self.data), "bytes are left over")


def decompress(data, length):
    content = zstandard.ZstdDecompressor().decompress(data, max_output_size=length)
    need(len(content) == length, "compressed data has another length")
    return content


def packed(payload):
    (length,) = payload.unpack("I")
    return decompress(payload.rest(), length)


def blocks(data):
    """Yields offset, kind and payload of each block."""
    file = Bytes(data)
    need(file.take(8) == FILE_MAGIC, "not a trace")
    major, minor, checksum = file.unpack("HHI")
    need(checksum == zlib.crc32(data[:12]), "the first bytes are damaged")
    need(major == 1, f"version {major}.{minor} is not for this reader")
    while file.at < len(data):
        offset = file.at
        head = file.take(16)
        need(file.unpack("I")[0] == zlib.crc32(head), f"block header at {offset:#x} is damaged")
        magic, kind, length, checksum = struct.unpack("<4s4sII", head)
        need(magic == BLOCK_MAGIC, f"no block at {offset:#x}")
        payload = file.take(length)
        need(checksum == zlib.crc32(payload), f"block at {offset:#x} is damaged")
        yield offset, kind, Bytes(payload)


def numbers(column, rows):
    """The rows of a column of numbers."""
    encoding, body = column
    if encoding == CONSTANT:
        values = [body.varint()] * rows
    elif encoding == PLAIN:
        values = [body.varint() for _ in range(rows)]
    elif encoding == DELTA:
        values, value = [], 0
        for _ in range(rows):
            code = body.varint()
            value = (value + ((code >> 1) ^ -(code & 1))) & MASK
            values.append(value)
    elif encoding == SCALED:
        unit, inner = body.varint(), body.column()
        need(inner[0] in (PLAIN, DELTA), "scaled column of another encoding")
        values = [value * unit & MASK for value in numbers(inner, rows)]
    else:
        raise Bad(f"encoding {encoding} of numbers")
    body.end()
    return values


def runs(column, rows):
    """The rows of a column of bytes."""
    encoding, body = column
    if encoding == BYTES:
        values = [body.take(length) for length in numbers(body.column(), rows)]
    elif encoding == DICTIONARY:
        count = body.varint()
        places = numbers(body.column(), rows)
        words = [body.take(length) for length in numbers(body.column(), count)]
        need(all(place < count for place in places), "position in a dictionary")
        values = [words[place] for place in places]
    else:
        raise Bad(f"encoding {encoding} of bytes")
    body.end()
    return values


def show(kind, value):
    if kind in ("text", "bytes") or isinstance(value, bytes):
        return value.hex()
    return value - 2**64 if kind == "signed" and value >> 63 else value


def fields_of(event, columns, rows):
    """The fields of each record of one kind."""
    masks = numbers(columns.column(), rows)
    shown = []
    for index, field in enumerate(event["fields"]):
        column = columns.column()
        take = runs if column[0] in (BYTES, DICTIONARY) else numbers
        values = take(column, rows)
        shown.append([None if mask >> index & 1 else show(field["kind"], value)
                      for mask, value in zip(masks, values)])
    return [list(row) for row in zip(*shown)] if shown else [[] for _ in range(rows)]


def records(payload, events, identity):
    """Yields the records of a chunk."""
    cpu, count, _sequence, tsc, last_tsc, _lost, repeated, length, recording = \
        payload.unpack("IIQQQQIII")
    need(recording == identity, "chunk of another recording")
    columns = Bytes(decompress(payload.rest(), length))
    kinds = [(columns.varint(), columns.varint(), columns.varint())
             for _ in range(columns.varint())]
    order, ticks = numbers(columns.column(), count), numbers(columns.column(), count)
    rows = []
    for event, number, field_count in kinds:
        need(len(events[event]["fields"]) == field_count, "number of fields")
        rows.append(iter(fields_of(events[event], columns, number)))
    columns.end()
    for index, (kind, delta) in enumerate(zip(order, ticks)):
        tsc += delta
        yield {"cpu": cpu, "tsc": tsc, "event": events[kinds[kind][0]]["name"],
               "fields": next(rows[kind]), "repeated": index < repeated}
    need(tsc == last_tsc, "stamp of the last record")


def lists(content):
    """An ascending list."""
    number, found = 0, []
    for _ in range(content.varint()):
        number += content.varint()
        found.append(number)
    return found


def index(payload):
    """Offsets of the blocks of symbols; offset, length and head of each chunk, and the events in it."""
    content = Bytes(packed(payload))
    symbol_count, count = content.varint(), content.varint()
    offset, symbols = 0, []
    for step in numbers(content.column(), symbol_count):
        offset += step
        symbols.append(offset)
    columns = [numbers(content.column(), count) for _ in range(9)]
    held = [(lists(content), lists(content)) for _ in range(count)]
    content.end()
    chunks, free, following, last = [], 16, {}, 0
    for row, (kinds, _threads) in zip(zip(*columns), held):
        gap, length, cpu, number, jump, pause, span, lost, repeated = row
        sequence = (following.get(cpu, 0) + jump) & MASK
        first = (last + ((pause >> 1) ^ -(pause & 1))) & MASK
        following[cpu], last = sequence + 1, first + span
        head = (cpu, number, sequence, first, last, lost, repeated)
        chunks.append((free + gap, length, head, kinds))
        free += gap + length
    return symbols, chunks


def chunk_head(payload):
    """What the index has of a chunk."""
    head = struct.unpack("<IIQQQQI", payload.data[:44])
    columns = Bytes(decompress(payload.data[52:], struct.unpack("<I", payload.data[44:48])[0]))
    kinds = [(columns.varint(), columns.varint(), columns.varint())[0]
             for _ in range(columns.varint())]
    return head, kinds


def read(data, out):
    identity, events, ended = None, {}, False
    symbols, chunks = [], []
    for offset, kind, payload in blocks(data):
        if kind == b"SYMB":
            symbols.append(offset)
        elif kind == b"INDX":
            need(index(payload) == (symbols, chunks), "the index is not that of the file")
        elif kind == b"CHNK":
            head, kinds = chunk_head(payload)
            chunks.append((offset, len(payload.data) + 20, head, kinds))
        if kind == b"HEAD":
            header = packed(payload)
            identity = zlib.crc32(header)
            events = {event["id"]: event for event in json.loads(header)["schema"]["events"]}
        elif kind == b"CHNK":
            for record in records(payload, events, identity):
                out.write(json.dumps(record) + "\n")
        elif kind == b"ENDB":
            ended = True
    need(ended, "the trace has no end")


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    with open(sys.argv[1], "rb") as file:
        data = file.read()
    try:
        read(data, sys.stdout)
    except Bad as bad:
        print(f"{sys.argv[1]}: {bad}", file=sys.stderr)
        sys.exit(3)


if __name__ == "__main__":
    main()
