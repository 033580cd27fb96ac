# SPDX-License-Identifier: Apache-2.0
"""Peers that speak SP byte by byte, for tests that need them to say what no library says."""
import socket
import struct
import sys

sys.dont_write_bytecode = True
from daemon import PATIENCE_S

NUMBERS = {"pair": 0x10, "pub": 0x20, "sub": 0x21, "req": 0x30, "rep": 0x31, "push": 0x50, "pull": 0x51,
           "surveyor": 0x62, "respondent": 0x63, "bus": 0x70}
PEERS = {"pull": "push", "push": "pull", "sub": "pub", "pub": "sub", "rep": "req", "respondent": "surveyor",
         "bus": "bus", "pair": "pair"}
ID = b"\x80\0\0\1"


def hello(pattern):
    return b"\0SP\0" + struct.pack(">HH", NUMBERS[pattern], 0)


def head(carrier, length):
    return (b"\1" if carrier == "ipc" else b"") + struct.pack(">Q", length)


def resetting(s):
    """Its close will be a reset, over tcp."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return s


def connected(address, receive_buffer=None):
    carrier, place = address.split("://")
    s = socket.socket(socket.AF_INET if carrier == "tcp" else socket.AF_UNIX)
    if receive_buffer is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    # Without a time limit, with which connecting over ipc would fail at once where the backlog is full.
    s.connect((place.rsplit(":", 1)[0], int(place.rsplit(":", 1)[1])) if carrier == "tcp" else place)
    s.settimeout(PATIENCE_S)
    return s


def is_closed(s):
    """Wait for the other side's end, which must come without another word."""
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


class Peer:
    """A connection to one of our endpoints, of the pattern that goes with it."""

    def __init__(self, address, pattern, sock=None):
        self.carrier = address.split("://")[0]
        self.pattern = pattern
        self.socket = sock or connected(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, data):
        self.socket.sendall(data)

    def say_hello(self):
        self.say(hello(self.pattern))

    def hears(self, count):
        """So many bytes; fewer when the other side ends."""
        data = b""
        try:
            while len(data) < count:
                more = self.socket.recv(count - len(data))
                if not more:
                    break
                data += more
        except ConnectionResetError:
            pass
        return data

    def greet(self):
        """True when we are answered."""
        try:
            self.say_hello()
        except (BrokenPipeError, ConnectionResetError):
            return False
        return self.hears(8) == hello({v: k for k, v in PEERS.items()}[self.pattern])

    def send(self, body):
        if self.pattern in ("req", "surveyor"):
            body = ID + body
        self.say(head(self.carrier, len(body)) + body)

    def receive(self):
        start = self.hears(len(head(self.carrier, 0)))
        body = self.hears(struct.unpack(">Q", start[-8:])[0])
        return body[4:] if self.pattern in ("req", "surveyor") else body

    def reset(self):
        resetting(self.socket).close()
