# SPDX-License-Identifier: Apache-2.0
"""For tests that drive the real programs: a penstockd in a folder of its own that is ready when it
is there, its control socket, and its end."""
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile

PATIENCE_S = 60  # far more than anything here takes; only a hang reaches it
PENSTOCKD = os.environ["PENSTOCKD"]
PENSTOCK = os.environ["PENSTOCK"]
TOP_SRCDIR = os.environ["top_srcdir"]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def run(*command, **options):
    """What the command wrote to its standard output; it must exit with 0."""
    options.setdefault("timeout", PATIENCE_S)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, **options)
    return done.stdout


class Daemon:
    """with Daemon(config) as daemon: it has said READY=1; at the end it is drained, and what it
    wrote is shown when it does not exit with 0 or the test has failed."""

    def __init__(self, config, **environment):
        self.config = config
        self.folder = tempfile.TemporaryDirectory(prefix="penstock-test-")
        self.environment = dict(os.environ, PENSTOCK_RUN=self.folder.name, **environment)
        self.environment["PENSTOCK_CONTROL"] = f"ipc://{self.folder.name}/control"

    def __enter__(self):
        path = os.path.join(self.folder.name, "notify")
        self.environment["NOTIFY_SOCKET"] = path
        self.log = open(os.path.join(self.folder.name, "log"), "w+", errors="replace")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.process = subprocess.Popen(self.launch(), env=self.environment, stderr=self.log)
        try:
            self.wait_ready()
        except BaseException:
            self.end()
            raise
        return self

    def launch(self):
        return [PENSTOCKD, "--config", self.config]

    def wait_ready(self):
        end = os.pidfd_open(self.process.pid)
        try:
            while True:
                readable, _, _ = select.select([self.notify, end], [], [], PATIENCE_S)
                if self.notify in readable:
                    if b"READY=1" in self.notify.recv(4096).split(b"\n"):
                        return
                else:
                    raise AssertionError("penstockd ended or does not get ready")
        finally:
            os.close(end)

    def penstock(self, *arguments, **options):
        return run(PENSTOCK, *arguments, env=self.environment, **options)

    def status(self):
        return json.loads(self.penstock("status", "--json"))

    def drain(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process.poll() is None:
                status = self.drain()
                assert status == 0, f"penstockd ended with status {status}"
        finally:
            self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notify.close()
        self.log.seek(0)
        sys.stderr.write(self.log.read())
        self.log.close()
        self.folder.cleanup()
