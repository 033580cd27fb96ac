# SPDX-License-Identifier: Apache-2.0
"""What the pipeline tests share: a daemon on a configuration given as text, with free ports, and real clients."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from daemon import PATIENCE_S, PENSTOCK, PENSTOCKD, Daemon, free_port, run

BUILD = os.environ["top_builddir"]
SPLOAD = os.path.join(BUILD, "tests/helpers/spload")
COPROC = os.path.join(BUILD, "tests/helpers/coproc")
PATIENCE = ["--recv-timeout", str(PATIENCE_S)]
LONG = bool(os.environ.get("PENSTOCK_LONG"))
QUICK = bool(os.environ.get("PENSTOCK_QUICK"))


TRANSPORT = os.environ.get("PENSTOCK_TRANSPORT")


def with_transport(text):
    """Each endpoint over $PENSTOCK_TRANSPORT, when that is set: for configurations with an endpoint in a line."""
    if not TRANSPORT:
        return text
    pattern = r"\{(?=[^{}\n]*pattern: *(?:pull|rep|respondent|sub|bus|pair|pub|push)\b)"
    return re.sub(pattern, lambda m: f"{{transport: {TRANSPORT}, ", text)


class Pipeline(Daemon):
    """A daemon on a configuration; NAME.tcp in the text becomes an address of a free port, NAME.ipc one in the
    daemon's folder. The control socket is added."""

    def __init__(self, text, **environment):
        super().__init__(None, **environment)
        self.addresses = {}
        text = with_transport(text)
        text = re.sub(r"\b(\w+)\.(tcp|ipc)\b", lambda m: self.address(m[1], m[2]), text)
        self.config = os.path.join(self.folder.name, "penstock.yaml")
        with open(self.config, "w") as file:
            file.write(f"control: ipc://{self.folder.name}/control\n" + text)

    def address(self, name, kind="tcp"):
        key = f"{name}.{kind}"
        if key not in self.addresses:
            self.addresses[key] = (
                f"tcp://127.0.0.1:{free_port()}" if kind == "tcp" else f"ipc://{self.folder.name}/{name}"
            )
        return self.addresses[key]

    def queue(self, name):
        queues = json.loads(self.penstock("queues", "--json"))["queues"]
        return next(q for q in queues if q["name"] == name)

    def wait_queue(self, name, condition):
        """Until the queue is as wanted; each question waits for its answer."""
        while not condition(self.queue(name)):
            assert self.process.poll() is None, "penstockd has ended"

    def wait_workers(self, name, condition):
        """The same for a worker endpoint."""
        while not condition(next(w for w in self.status()["workers"] if w["name"] == name)):
            assert self.process.poll() is None, "penstockd has ended"

    def wait_producer(self, name, condition):
        while not condition(next(p for p in self.status()["producers"] if p["name"] == name)):
            assert self.process.poll() is None, "penstockd has ended"

    def wait_peers(self, publisher, n=1):
        while True:
            peers = {p["name"]: p["peers"] for p in self.status()["publishers"]}
            if peers[publisher] >= n:
                return
            assert self.process.poll() is None, "penstockd has ended"

    def log_text(self):
        with open(os.path.join(self.folder.name, "log"), errors="replace") as file:
            return file.read()

    def memory(self, field):
        """VmRSS or VmHWM, bytes."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(l.split()[1]) * 1024 for l in file if l.startswith(field + ":"))


def start(*command, **options):
    options.setdefault("stdin", subprocess.PIPE)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)


def finish(process, expect=0):
    out, _ = process.communicate(timeout=PATIENCE_S * 4)
    assert process.returncode == expect, (process.args, process.returncode, out)
    return out


def push(address, *messages):
    for message in messages:
        run("nanocat", "--push", "--connect", address, "--data", message)


def ask(address, message):
    return run("nanocat", "--req", "--connect", address, *PATIENCE, "--raw", "--data", message)


def main(*tests):
    """Run the named functions, or all; the last line counts them."""
    wanted = sys.argv[1:]
    failed = 0
    chosen = [t for t in tests if not wanted or t.__name__ in wanted]
    for test in chosen:
        try:
            test()
            print(f"ok {test.__name__}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED {test.__name__}: {error!r}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
