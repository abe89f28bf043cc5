"""What the rows of the bench share: nodes, a small Kafka reader, the table, and helpers to measure with."""

import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time
import types

TOP = pathlib.Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20
GIB = 1 << 30
BUILD = types.SimpleNamespace(millrace=None, tools=None)  # set by main


# ---- processes ----

def cpu_s(pid):
    """CPU seconds of a process so far, of all its threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def status(pid, key):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    return 0


def switches(pid):
    """Times that any thread of the process went to sleep: its wake-ups."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for line in (task / "status").read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: waited {timeout_s} s in vain for {what}")
        time.sleep(0.002)


class Node:
    """One millrace process."""

    def __init__(self, directory, name, config):
        self.data = directory / name
        self.config = directory / f"{name}.yaml"
        self.stderr = directory / f"{name}.stderr"
        config = {"node": {"name": name, "data": str(self.data), "run": str(directory / "run")}, **config}
        self.config.write_text(json.dumps(config))  # JSON is YAML
        self.process = None

    def start(self):
        with open(self.stderr, "ab") as stderr:
            self.process = subprocess.Popen([BUILD.millrace, "run", "-c", self.config], stderr=stderr)
        return self

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


# ---- the Kafka protocol, as little of it as a fast reader needs ----

class Reader:
    """Fetches one partition over a raw socket and throws the bytes away (or hands them on)."""

    def __init__(self, port, topic):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.topic = topic.encode()
        self.buffer = bytearray(16 * MIB)

    def call(self, key, version, body):
        header = struct.pack(">hhih", key, version, 1, 5) + b"bench"
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        size = struct.unpack(">i", self.read(4))[0]
        return self.read(size)

    def read(self, size):
        if size > len(self.buffer):
            self.buffer = bytearray(size)
        view = memoryview(self.buffer)[:size]
        got = 0
        while got < size:
            step = self.socket.recv_into(view[got:])
            if step == 0:
                raise SystemExit("bench: the node closed the connection")
            got += step
        return view

    def end_offset(self):
        topic = struct.pack(">h", len(self.topic)) + self.topic
        body = struct.pack(">ii", -1, 1) + topic + struct.pack(">iiq", 1, 0, -1)
        answer = self.call(2, 1, body)
        place = 4 + 4 + 2 + len(self.topic) + 4 + 4
        error, _, offset = struct.unpack(">hqq", answer[place:place + 18])
        return offset if error == 0 else 0

    def fetch(self, offset, max_bytes, wait_ms=500):
        """The record set behind `offset`, as a view that the next call overwrites."""
        topic = struct.pack(">h", len(self.topic)) + self.topic
        body = struct.pack(">iiiib", -1, wait_ms, 1, max_bytes, 0) + struct.pack(">i", 1) + topic
        body += struct.pack(">iiqi", 1, 0, offset, max_bytes)
        answer = self.call(1, 4, body)
        place = 4 + 4 + 4 + 2 + len(self.topic) + 4 + 4
        error = struct.unpack(">h", answer[place:place + 2])[0]
        if error != 0:
            raise SystemExit(f"bench: fetch answered error {error}")
        place += 2 + 8 + 8
        aborted = struct.unpack(">i", answer[place:place + 4])[0]
        place += 4 + 16 * max(aborted, 0)
        size = struct.unpack(">i", answer[place:place + 4])[0]
        return answer[place + 4:place + 4 + max(size, 0)]


def back_memory(directory, size):
    """Writes and removes a file: a virtual machine gives idle memory back, and first writes are then ten times slower."""
    path = directory / "backing"
    block = bytes(8 * MIB)
    with open(path, "wb") as file:
        for _ in range(0, size, len(block)):
            file.write(block)
    path.unlink()


# ---- what is measured ----

class Bench:
    def __init__(self, options):
        self.rounds = options.rounds
        self.size = options.size
        self.directory = pathlib.Path(options.dir)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.rows = []
        self.failed = False
        self.log = self.directory / "access.log"
        self.lines = 0

    def make_log(self):
        if self.lines == 0:
            run([BUILD.tools / "millrace_lines", "--bytes", self.size, self.log])
            self.lines = int(subprocess.run(["wc", "-l", self.log], capture_output=True, text=True,
                                            check=True).stdout.split()[0])
            warm(self.log)

    def row(self, name, values, unit, target=""):
        values = [value for value in values if value is not None]
        text = f"{statistics.median(values):.3g} {unit}" if values else "-"
        spread = f"{min(values):.3g} - {max(values):.3g}" if values else ""
        self.rows.append((name, text, spread, target))
        print(f"| {name} | {text} | {spread} | {target} |", flush=True)

    def fail(self, words):
        print(f"FAILED: {words}", flush=True)
        self.failed = True

    def fresh(self, name):
        directory = self.directory / name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        return directory


def run(command, **keywords):
    return subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL, **keywords)


def tool(name, *arguments):
    """What one of our yardsticks printed: a list of objects."""
    words = [str(word) for word in (BUILD.tools / name, *arguments)]
    lines = subprocess.run(words, capture_output=True, text=True, check=True, timeout=300).stdout.splitlines()
    return [json.loads(line) for line in lines]


def warm(path):
    with open(path, "rb") as file:
        while file.read(8 * MIB):
            pass


def edge_config(port, paths, compression="none", sinks=None, batch=None):
    source = {"type": "file", "paths": [str(path) for path in paths], "topic": "access"}
    if batch:
        source["batch"] = batch
    config = {"listen": [{"address": f"127.0.0.1:{port}"}], "topics": {"access": {"compression": compression}},
              "sources": {"access": source}}
    if sinks:
        config["sinks"] = sinks
    return config


def check_lines(bench, port, lines, files=1, what=""):
    """Every line once and in order, as a foreign client reads them."""
    kcat = subprocess.Popen(["kcat", "-q", "-b", f"127.0.0.1:{port}", "-t", "access", "-C", "-o", "beginning",
                             "-e", "-f", "%s\n"], stdout=subprocess.PIPE)
    check = subprocess.run([BUILD.tools / "millrace_lines", "--check", "--lines", str(lines // files), "--files",
                            str(files)], stdin=kcat.stdout, capture_output=True, text=True, check=False)
    kcat.wait()
    if check.returncode != 0:
        bench.fail(f"{what}: {check.stdout.strip()}")


def can_connect(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


def chain_once(bench, compression="none", check=False, hub_tls=None, peer=None, more_sinks=None):
    """Seconds from the start of the edge until the hub has every line, and CPU seconds of edge and hub. more_sinks:
    of the edge, beside the one to the hub, for which `peer` has more options."""
    back_memory(bench.directory, 4 * bench.size)
    directory = bench.fresh("chain")
    hub_port, edge_port = free_port(), free_port()
    listen = [{"address": f"127.0.0.1:{hub_port}"}]
    target = hub_port
    if hub_tls:
        target = free_port()
        listen.append({"address": f"127.0.0.1:{target}", "tls": hub_tls})
    hub = Node(directory, "hub", {"listen": listen}).start()
    wait_until(lambda: can_connect(hub_port), 20, "the hub")
    sinks = {"hub": {"type": "peer", "topics": ["access"], "nodes": [f"127.0.0.1:{target}"], **(peer or {})},
             **(more_sinks or {})}
    edge = Node(directory, "edge", edge_config(edge_port, [bench.log], compression, sinks)).start()
    begin = time.monotonic()
    reader = Reader(hub_port, "access")
    while reader.end_offset() < bench.lines:
        if time.monotonic() - begin > 300:
            bench.fail(f"chain: the hub has {reader.end_offset()} of {bench.lines} lines: "
                       f"{edge.stderr.read_text()[-2000:]}")
            break
        time.sleep(0.01)
    wall = time.monotonic() - begin
    values = wall, cpu_s(edge.pid), cpu_s(hub.pid)
    if check:
        check_lines(bench, hub_port, bench.lines, 1, f"chain {compression}")
    edge.stop()
    hub.stop()
    shutil.rmtree(directory)
    return values


def make_records(bench):
    """A file of 1 KiB records, one a line."""
    source = bench.directory / "records"
    line = (b"0123456789abcdef" * 64)[:1023] + b"\n"
    with open(source, "wb") as file:
        for _ in range(bench.size // MIB):
            file.write(line * 1024)
    return source


def start_hub(bench, hub_tls):
    """A hub with a topic of four partitions: (directory, port, node)."""
    back_memory(bench.directory, 2 * bench.size)
    directory = bench.fresh("produce")
    port = free_port()
    listen = {"address": f"127.0.0.1:{port}", **({"tls": hub_tls} if hub_tls else {})}
    hub = Node(directory, "hub", {"listen": [listen], "topics": {"access": {"partitions": 4}}}).start()
    wait_until(lambda: can_connect(port), 20, "the hub")
    return directory, port, hub


def produce_once(bench, source, hub_tls=None, options=()):
    """Seconds, and CPU seconds of the hub, for kcat to send the records to four partitions."""
    directory, port, hub = start_hub(bench, hub_tls)
    before = cpu_s(hub.pid)
    begin = time.monotonic()
    words = [word for option in ("acks=1", "linger.ms=5", "batch.size=1000000", "queue.buffering.max.messages=1000000",
                                 *options) for word in ("-X", option)]
    run(["kcat", "-q", "-b", f"127.0.0.1:{port}", "-t", "access", "-P", *words, "-l", source])
    values = time.monotonic() - begin, cpu_s(hub.pid) - before
    hub.stop()
    shutil.rmtree(directory)
    return values
