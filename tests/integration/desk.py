# SPDX-License-Identifier: Apache-2.0
"""A worker's or a producer's connection to a worker endpoint: plain sockets that speak SP, one JSON object there and one
back, with as many requests under way as are wanted."""
import json
import socket
import struct

import frames
from daemon import PATIENCE_S

REQ, REP = 0x30, 0x31


class Refused(Exception):
    def __init__(self, answer):
        super().__init__(answer)
        self.error = answer["error"]


class Desk:
    def __init__(self, address):
        scheme, rest = address.split("://")
        self.ipc = scheme == "ipc"
        if self.ipc:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(rest)
        else:
            host, port = rest.rsplit(":", 1)
            self.socket = socket.create_connection((host, int(port)))
        self.socket.settimeout(PATIENCE_S)
        self.socket.sendall(b"\0SP\0" + struct.pack(">HH", REQ, 0))
        assert self.receive(8) == b"\0SP\0" + struct.pack(">HH", REP, 0)
        self.id = 0

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise EOFError("the endpoint has closed")
            data += more
        return data

    def send_bytes(self, body):
        """Ask, without waiting; the number of the request."""
        self.id += 1
        message = struct.pack(">I", 0x80000000 | self.id) + body
        self.socket.sendall((b"\1" if self.ipc else b"") + struct.pack(">Q", len(message)) + message)
        return self.id

    def receive_bytes(self):
        """The next answer to come: the number of its request, and its bytes."""
        self.receive(1 if self.ipc else 0)
        (count,) = struct.unpack(">Q", self.receive(8))
        message = self.receive(count)
        return struct.unpack(">I", message[:4])[0] & 0x7FFFFFFF, message[4:]

    def send(self, op, **members):
        return self.send_bytes(json.dumps({"op": op, **members}).encode())

    def answer(self):
        number, answer = self.receive_bytes()
        return number, json.loads(answer)

    def ask(self, op, **members):
        asked = self.send(op, **members)
        number, answer = self.answer()
        assert number == asked, (op, number, asked)
        if not answer["ok"]:
            raise Refused(answer)
        return answer

    def refused(self, op, **members):
        """The error; it must be one."""
        try:
            answer = self.ask(op, **members)
        except Refused as refusal:
            return refusal.error
        raise AssertionError(f"{op} was not refused: {answer}")

    def put(self, queue, body, **members):
        return self.ask("put", queue=queue, body=body, **members)

    def reserve(self, queue, count=1, wait_ms=PATIENCE_S * 1000, **members):
        return self.ask("reserve", queue=queue, count=count, wait_ms=wait_ms, **members)["jobs"]

    def held(self, op, job, **members):
        return self.ask(op, queue=job["queue"], id=job["id"], lease=job["lease"], **members)

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class FrameDesk(Desk):
    """The same in batch frames."""

    def ask(self, kind, records=(), **attrs):
        """attrs: by the names of frames.py, of the frame; its answer."""
        asked = self.send_bytes(frames.frame(kind, list(records), tag=self.id + 1, attrs=frames.named(attrs)))
        number, message = self.receive_bytes()
        answer = frames.read(message)
        assert (number, answer.tag) == (asked, asked), (number, asked, answer)
        return answer

    def held(self, kind, jobs, bodies=None, **attrs):
        """Say the same of all of them; the status of each."""
        records = [
            frames.record(body, {frames.ID: job.attrs[frames.ID], frames.LEASE: job.attrs[frames.LEASE]})
            for job, body in zip(jobs, bodies or [b""] * len(jobs))
        ]
        answer = self.ask(kind, records, QUEUE=jobs[0].attrs[frames.QUEUE], **attrs)
        assert answer.kind == frames.RECEIPTS, answer
        assert [r.attrs[frames.ID] for r in answer.records] == [job.attrs[frames.ID] for job in jobs], answer
        return [r.status for r in answer.records]
