# SPDX-License-Identifier: Apache-2.0
"""Batch frames of penstock-protocol(7), written down a second time, in Python."""
import io
import struct
from collections import namedtuple

PUT, RESERVE, ACK, NACK, TOUCH, PEEK, RESULT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x09, 0x0D
ERROR, RECEIPTS, JOBS, RESULTS = 0x80, 0x81, 0x82, 0x83
ID, LEASE, QUEUE, TOPIC, KEY, PRIORITY, LEASE_MS, WAIT_MS = 0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x0F, 0x10
COUNT, LEVEL, POSITION, ATTEMPTS, REASON, DIED_IN, FAILED_MS = 0x11, 0x41, 0x42, 0x44, 0x45, 0x46, 0x48
HANDLER, FIRST_FAILED_MS, TEXT = 0x4D, 0x4E, 0xC1
WIDTHS = {COUNT: 4, LEASE_MS: 8, WAIT_MS: 8, ID: 8}

Frame = namedtuple("Frame", "kind tag attrs records")
Record = namedtuple("Record", "body attrs status")


def attributes(given):
    """bytes from {number: bytes}."""
    return b"".join(
        bytes([number]) + len(value).to_bytes(1 if number < 0x80 else 2, "little") + value
        for number, value in given.items()
    )


def named(attrs):
    """{number: bytes} from {name: bytes or number}."""
    numbers = {globals()[name]: value for name, value in attrs.items()}
    return {n: v if isinstance(v, bytes) else v.to_bytes(WIDTHS[n], "little") for n, v in numbers.items()}


def record(body=b"", attrs={}, status=0):
    given = attributes(attrs)
    return struct.pack("<IHH", len(body), len(given), status) + given + body


def frame(kind, records, tag=0, attrs={}):
    given = attributes(attrs)
    head = b"PEN\x01" + struct.pack("<BBHII", kind, 0, len(given), len(records), tag)
    return head + given + b"".join(records)


def read_attributes(data):
    found = {}
    while data:
        width = 1 if data[0] < 0x80 else 2
        size = int.from_bytes(data[1 : 1 + width], "little")
        found[data[0]] = data[1 + width : 1 + width + size]
        data = data[1 + width + size :]
    return found


def read(data):
    """A message that is one whole frame."""
    stream = io.BytesIO(data)
    found = read_first(stream)
    assert not stream.read()
    return found


def read_first(stream):
    """The first of the messages that were written one behind the other."""
    head = stream.read(16)
    assert head[:4] == b"PEN\x01", head
    kind, flags, size, count, tag = struct.unpack_from("<BBHII", head, 4)
    assert flags == 0
    attrs = read_attributes(stream.read(size))
    records = []
    for _ in range(count):
        body, size, status = struct.unpack("<IHH", stream.read(8))
        own = read_attributes(stream.read(size))
        records.append(Record(stream.read(body), own, status))
    return Frame(kind, tag, attrs, records)


def number(value):
    return int.from_bytes(value, "little")
