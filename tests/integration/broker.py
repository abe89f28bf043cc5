"""A queue with its broker and no agent around it (tests/tools/broker_main.c), as a process."""

import os
import pathlib
import signal
import subprocess

import raw
from node import PATIENCE_S, free_port



def program():
    """millrace_broker_test: named by the environment, or beside the binary under test."""
    path = os.environ.get("MILLRACE_BROKER_TEST")
    if not path:
        path = pathlib.Path(os.environ["MILLRACE_BIN"]).resolve().parent / "tests/millrace_broker_test"
    return str(path)


class Broker:
    """Starts at once; options are key=value of the program."""

    def __init__(self, directory, **options):
        self.directory = pathlib.Path(directory)
        self.options = options
        self.port = free_port()
        self.process = None
        self.start()

    def start(self):
        words = [f"{key}={value}" for key, value in self.options.items()]
        self.log = open(self.directory.with_suffix(".err"), "ab")
        self.process = subprocess.Popen(
            [program(), str(self.directory), f"127.0.0.1:{self.port}", *words],
            stdout=subprocess.PIPE, stderr=self.log)
        line = self.process.stdout.readline().split()
        assert line and line[0] == b"listening", self.output()
        assert int(line[1]) == self.port

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def output(self):
        return self.directory.with_suffix(".err").read_text(errors="replace")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(PATIENCE_S) == 0, self.output()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def finish(self):
        """Ends it; fails if it had died by itself or a sanitizer spoke."""
        if self.process.poll() is None:
            self.stop()
        self.log.close()
        text = self.output()
        assert "Sanitizer" not in text and "runtime error" not in text, text

    def connect(self):
        return raw.Peer(self.port)
