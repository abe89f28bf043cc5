"""A millrace node as a process: what tests start, wait for, stop and kill."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import yaml

# What a healthy node on an idle machine does in milliseconds may take very long under a sanitizer on a slow
# and busy one. So every wait is for a condition, and its bound is only there to end: none is shorter than this.
PATIENCE_S = 180
KCAT = ("kcat", "-m", str(PATIENCE_S))  # which gives up its questions after 5 s else
SANITIZER_WORDS = ("ERROR: AddressSanitizer", "WARNING: ThreadSanitizer", "runtime error:",
                   "ERROR: LeakSanitizer")


def binary():
    """The program under test, or a clear failure."""
    path = os.environ.get("MILLRACE_BIN")
    if not path:
        raise RuntimeError("MILLRACE_BIN is not set: run by ctest, or set it to build/dev/millrace")
    return str(pathlib.Path(path).resolve())


_kept_ports = []


def is_sanitized():
    """Whether the program under test is watched by a sanitizer: slower, and larger in memory."""
    program = pathlib.Path(binary()).read_bytes()
    return b"__asan_" in program or b"__tsan_" in program


def free_port():
    """A TCP port of 127.0.0.1 that is this test's own until its process ends: a socket stays bound to it, so
    that the system gives it to nobody else, also while the node that listens beside it is down."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", 0))
    _kept_ports.append(keeper)
    return keeper.getsockname()[1]


def wait_until(condition, timeout_s=PATIENCE_S, what="the condition", poll_s=0.01):
    """Polls until the condition holds; returns its value, or fails saying what was waited for."""
    timeout_s = max(timeout_s, PATIENCE_S)
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout_s} s in vain for {what}")
        time.sleep(poll_s)


def files_below(directory):
    """All files, also while a node makes and removes some: pathlib's glob fails at a directory that goes."""
    return [pathlib.Path(place) / name for place, _, names in os.walk(directory) for name in names]


def run(*arguments, timeout_s=PATIENCE_S, **keywords):
    """One run of a subcommand, to its end: a CompletedProcess with text."""
    return subprocess.run([binary(), *map(str, arguments)], capture_output=True, text=True,
                          timeout=timeout_s, check=False, **keywords)


class Node:
    """One node with its configuration, data directory and output.

    The configuration is a dictionary; `node.data` is filled in. Output of all starts is collected in
    `<directory>/stderr`.
    """

    def __init__(self, directory, config, name="node"):
        self.name = name
        self.directory = pathlib.Path(directory) / name
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data = self.directory / "data"
        self.config_path = self.directory / f"{name}.yaml"
        self.config = config
        self.process = None
        self.killed = False

    # ---- configuration ----

    def write_config(self):
        config = {"shutdown": f"{PATIENCE_S - 30}s", **self.config}
        config["node"] = {"data": str(self.data), **config.get("node", {})}
        self.config_path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")

    @property
    def socket_path(self):
        return self.data / "node.sock"

    @property
    def ports(self):
        """The TCP ports that the configuration listens on."""
        addresses = [str(entry["address"]) for entry in self.config.get("listen", [])]
        return [int(address.rsplit(":", 1)[1]) for address in addresses
                if not address.startswith("unix:")]

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.ports[0]}"

    # ---- life ----

    def start(self, wait=True, environment=None, wrapper=()):
        """Starts it; the wrapper is a command in front of it, such as strace."""
        assert not self.is_running(), f"{self.name} runs already"
        self.write_config()
        self.killed = False
        with open(self.directory / "stderr", "ab") as stderr, \
                open(self.directory / "stdout", "ab") as stdout:
            self.process = subprocess.Popen(
                [*wrapper, binary(), "run", "-c", str(self.config_path)],
                stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                env={**os.environ, **(environment or {})})
        if wait:
            self.wait_ready()
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def is_ready(self):
        """Every port that is configured, and the node's own sockets, take connections. The admin socket is
        the last that a node opens: all that a start puts into the data directory is there."""
        if not self.is_running():
            raise AssertionError(
                f"{self.name} ended with {self.process.returncode} instead of getting ready:\n"
                f"{self.stderr()}")
        targets = [(socket.AF_INET, ("127.0.0.1", port)) for port in self.ports]
        targets += [(socket.AF_UNIX, str(self.data / name)) for name in ("node.sock", "admin.sock")]
        return all(_accepts(*target) for target in targets)

    def wait_ready(self):
        wait_until(self.is_ready, what=f"{self.name} to take connections and open its sockets")

    def stop(self, timeout_s=PATIENCE_S):
        """SIGTERM, and the end with status 0: nothing was cut short. (`shutdown`, which cuts it, is long here; its
        4 s are for machines that are not overloaded.)"""
        assert self.is_running(), f"{self.name} had ended by itself:\n{self.stderr()}"
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"{self.name} did not end within {timeout_s} s of SIGTERM:\n{self.stderr()}") from None
        assert status == 0, f"{self.name} ended with {status} after SIGTERM:\n{self.stderr()}"

    def kill(self):
        """kill -9; nothing is flushed."""
        self.killed = True
        if self.is_running():
            self.process.kill()
        self.process.wait()

    def signal(self, number):
        self.process.send_signal(number)

    @contextlib.contextmanager
    def paused(self):
        """SIGSTOP for the time of the block."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    # ---- what it said ----

    def stderr(self):
        path = self.directory / "stderr"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stdout(self):
        path = self.directory / "stdout"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def wait_for_output(self, text):
        wait_until(lambda: text in self.stderr(), what=f"{self.name} to say '{text}'")

    def finish(self):
        """For the fixture: ends it in any case, and returns what went wrong, or None."""
        if self.process is None:
            return None
        died = not self.is_running() and not self.killed and self.process.returncode != 0
        if self.is_running():
            self.kill()
        if died:
            return f"{self.name} ended by itself with {self.process.returncode}:\n{self.stderr()}"
        if any(word in self.stderr() for word in SANITIZER_WORDS):
            return f"{self.name} was caught by a sanitizer:\n{self.stderr()}"
        return None


def _accepts(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(30)
        try:
            probe.connect(address)
        except OSError:
            return False
    return True
