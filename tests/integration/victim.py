# SPDX-License-Identifier: Apache-2.0
"""A daemon with a native endpoint of each pattern to be attacked, and whether it still serves."""
import json
import sys

sys.dont_write_bytecode = True
from pipeline import Pipeline
from rawsp import PEERS, Peer

MIB = 1024 * 1024
TAKING = ["pull", "rep", "respondent", "sub", "bus", "pair"]
GIVING = ["pub", "push", "bus", "pair"]
MESSAGE_MAX = 64 * 1024


def configuration(role, more=""):
    lines = ["queues:", "  in: { when_full: drop_oldest }"]
    lines += [f"  q_{p}: {{}}" for p in GIVING]
    lines += ["producers:"]
    for p in TAKING:
        reply = ", reply: result" if p in ("rep", "respondent") else ""
        lines.append(f"  in_{p}: {{ pattern: {p}, {role}: [ in_{p}.tcp , in_{p}.ipc ], queue: in, max_message: 64KiB"
                     f"{reply}{more} }}")
    lines += [f"  feed_{p}: {{ pattern: pull, listen: feed_{p}.tcp , queue: q_{p} }}" for p in GIVING]
    lines += ["consumers:", "  work: { queue: in, handler: { builtin: pass } }"]
    lines += [f"  w_{p}: {{ queue: q_{p}, handler: {{ builtin: pass }}, publish: out_{p} }}" for p in GIVING]
    lines += ["publishers:"]
    lines += [f"  out_{p}: {{ pattern: {p}, {role}: [ out_{p}.tcp , out_{p}.ipc ] }}" for p in GIVING]
    return "\n".join(lines) + "\n"


class Victim(Pipeline):
    def __enter__(self):
        super().__enter__()
        self.control = Peer(f"ipc://{self.folder.name}/control", "req")
        assert self.control.greet()
        return self

    def __exit__(self, *what):
        self.control.socket.close()
        super().__exit__(*what)

    def status(self):
        self.control.send(b'{"op":"status"}')
        answer = json.loads(self.control.receive())
        assert answer["ok"], answer
        return answer

    def numbers(self, name):
        """What is counted of an endpoint, in one table."""
        status = self.status()
        part = next(p for p in status["producers"] + status["publishers"] if p["name"] == name)
        return {**part, **part.pop("connections")}

    def wait(self, name, condition):
        while not condition(self.numbers(name)):
            assert self.process.poll() is None, "penstockd has ended"


class Target:
    """One endpoint, over one carrier."""

    def __init__(self, daemon, name, carrier):
        self.daemon = daemon
        self.name = name
        self.takes = name.startswith("in_")
        self.pattern = name.split("_")[1]
        self.carrier = carrier
        self.address = daemon.address(name, carrier)

    def peer(self):
        return Peer(self.address, PEERS[self.pattern])

    def greeted(self):
        """A pair has one peer: who comes before the last one is seen to have gone is refused, and tries again."""
        while True:
            peer = self.peer()
            if peer.greet():
                return peer
            peer.socket.close()

    def counts(self, counter, n, attack):
        before = self.daemon.numbers(self.name)[counter]
        attack()
        self.daemon.wait(self.name, lambda now: now[counter] >= before + n)

    def serves(self, peer=None):
        """Somebody else, or the peer that is given, gets what everybody gets."""
        with peer or self.greeted() as peer:
            if self.takes:
                self.serves_giver(peer)
            else:
                self.serves_taker(peer)

    def serves_meanwhile(self):
        """Somebody asks while others do what they do."""
        with self.greeted() as peer:
            peer.send(b"well")
            assert peer.receive() == b"well"

    def serves_giver(self, peer):
        before = self.daemon.numbers(self.name)["in"]
        peer.send(b"well")
        if self.pattern in ("rep", "respondent"):
            assert peer.receive() == b"well"
        self.daemon.wait(self.name, lambda now: now["in"] == before + 1)

    def serves_taker(self, peer):
        self.daemon.wait(self.name, lambda now: now["peers"] == 1)  # Nobody who is gone is given anything.
        with Peer(self.daemon.address("feed_" + self.pattern), "push") as feed:
            assert feed.greet()
            feed.send(b"well")
            while peer.receive() != b"well":  # What was for those before may come first.
                pass


def targets(daemon):
    names = ["in_" + p for p in TAKING] + ["out_" + p for p in GIVING]
    return [Target(daemon, name, carrier) for name in names for carrier in ("tcp", "ipc")]
