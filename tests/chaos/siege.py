#!/usr/bin/python3
"""Crowds at the door: thousands of half-open TLS handshakes and slow talkers, beside a producer that goes on.

As a program it is the crowd: siege.py TLS-PORT PLAIN-PORT ADMIN-PORT COUNT. A quarter is silent, a quarter says half a
hello, and half say a whole one, which costs the node a signature, and never answer; they come from a hundred addresses, and
each that is thrown out comes back after a second. A hundred more say a byte each second: in a hello, in the head of a
request, in a request to the admin address.
"""

import contextlib
import os
import pathlib
import re
import select
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time

import pair

TALKERS = 100
BACK_AFTER_S = 1
CONNECTS_PER_TURN = 200
LINE = "x" * 500


# ---- the crowd ----

def whole_hello():
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    conversation = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        conversation.do_handshake()
    return outgoing.read()


class Crowd:
    def __init__(self, ports, count):
        hello = whole_hello()
        self.tls_port = ports[0]
        self.words = [b"", hello[:50], hello, hello]
        self.poll = select.epoll()
        self.members = {}
        self.back = [(0.0, place) for place in range(count)]
        request = b"\0\0\x0f\xa0" + bytes(4000)
        get = b"GET /metrics HTTP/1.1\r\nX-Long: " + b"y" * 4000
        self.scripts = [(ports[0], hello), (ports[1], request), (ports[2], get)]
        self.talkers = [(None, 0, self.scripts[i % 3]) for i in range(TALKERS)]

    def open(self, place, port):
        stream = socket.socket()
        stream.setblocking(False)
        stream.bind((f"127.1.{place % 100}.1", 0))
        with contextlib.suppress(BlockingIOError):
            stream.connect(("127.0.0.1", port))
        return stream

    def come_back(self):
        now = time.monotonic()
        for _ in range(min(CONNECTS_PER_TURN, len(self.back))):
            if self.back[0][0] > now:
                return
            _, place = self.back.pop(0)
            try:
                stream = self.open(place, self.tls_port)
            except OSError:
                self.back.append((now + BACK_AFTER_S, place))
                continue
            self.members[stream.fileno()] = [stream, place, self.words[place % 4]]
            self.poll.register(stream.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def turn(self):
        self.come_back()
        for number, events in self.poll.poll(0.02):
            member = self.members[number]
            try:
                if events & select.EPOLLOUT and not events & select.EPOLLHUP:
                    member[0].send(member[2]) if member[2] else None
                    self.poll.modify(number, select.EPOLLIN)
                if events & (select.EPOLLIN | select.EPOLLHUP) and member[0].recv(65536) == b"":
                    raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                self.poll.unregister(number)
                member[0].close()
                del self.members[number]
                self.back.append((time.monotonic() + BACK_AFTER_S, member[1]))

    def talk(self):
        for i, (stream, sent, script) in enumerate(self.talkers):
            try:
                stream = stream or self.open(i, script[0])
                sent += stream.send(script[1][sent:sent + 1])
                with contextlib.suppress(BlockingIOError):
                    if stream.recv(4096) == b"":
                        raise ConnectionResetError
            except BlockingIOError:
                pass
            except OSError:
                if stream:
                    stream.close()
                stream, sent = None, 0
            self.talkers[i] = (stream, sent, script)

    def run(self):
        spoke = 0.0
        while True:
            self.turn()
            if time.monotonic() - spoke >= 1:
                spoke = time.monotonic()
                self.talk()


# ---- the node and its producer ----

def metrics(data):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(data / "admin.sock"))
        admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        page = b""
        while part := admin.recv(65536):
            page += part
    return page.decode()


def appended(data):
    return sum(int(number) for number in
               re.findall(r"^millrace_log_append_bytes_total(?:{[^}]*})? (\d+)$", metrics(data), re.M))


@contextlib.contextmanager
def process(command, **keywords):
    made = subprocess.Popen(command, **keywords)
    try:
        yield made
    finally:
        made.send_signal(signal.SIGTERM)
        try:
            made.wait(20)
        except subprocess.TimeoutExpired:
            made.kill()
            made.wait()


def rate(data, seconds):
    before, began = appended(data), time.monotonic()
    time.sleep(seconds)
    return (appended(data) - before) / (time.monotonic() - began) / (1 << 20)


def crowded(data):
    found = re.findall(r'^millrace_net_tls_failures_total{reason="(\w+)"} (\d+)$', metrics(data), re.M)
    return sum(int(count) for _, count in found)


def visit(command):
    """Another client comes ten times: how often it is not let in."""
    return sum(subprocess.run(command, check=False, capture_output=True, timeout=60).returncode != 0
               for _ in range(10))


def feed(pipe, mib_per_s, stop):
    """Lines at a rate, or as fast as they are taken."""
    block = (LINE + "\n").encode() * 200
    due = time.monotonic()
    with contextlib.suppress(BrokenPipeError):
        while not stop.is_set():
            pipe.write(block)
            if mib_per_s:
                due = max(due + len(block) / (mib_per_s << 20), time.monotonic() - 1)
                time.sleep(max(0, due - time.monotonic()))


def rounds_at(hub, ports, own, mib_per_s, options):
    """What is kept of the rate, round by round; handshakes that ended; visits that were refused."""
    count, rounds, seconds = (2000, 3, 3) if options.quick else (10000, 5, 5)
    binary = os.environ["MILLRACE_BIN"]
    there = ["--node", f"localhost:{ports[0]}", "--ca", own["ca"]]
    alone, besieged, ended, refused = [], [], 0, 0
    stop = threading.Event()
    with process([binary, "produce", "-t", "load", "--compression", "none", *there],
                 stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as producer:
        feeder = threading.Thread(target=feed, args=(producer.stdin, mib_per_s, stop))
        feeder.start()
        time.sleep(2)
        for _ in range(rounds):
            alone.append(rate(hub.data, seconds))
            before = crowded(hub.data)
            with process(["nice", sys.executable, __file__, *map(str, ports), str(count)]):
                time.sleep(3)
                besieged.append(rate(hub.data, seconds))
                refused += visit([binary, "topics", *there])
            ended += crowded(hub.data) - before
            time.sleep(1)
        stop.set()
    feeder.join()
    return statistics.median(two / one for one, two in zip(alone, besieged)), statistics.median(alone), ended, refused


def siege(directory, options):
    """10,000 half-open TLS handshakes and 100 slow talkers beside a producer over TLS: >= 90 % of its 20 MiB/s"""
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True)
    tls = directory / "tls"
    for words in (["init"], ["issue", "localhost", "127.0.0.1"]):
        subprocess.run([os.environ["MILLRACE_BIN"], "tls", words[0], "-d", str(tls), *words[1:]], check=True,
                       capture_output=True)
    ports = [pair.free_port() for _ in range(3)]
    own = {"cert": str(tls / "localhost.pem"), "key": str(tls / "localhost.key"), "ca": str(tls / "ca.pem")}
    hub = pair.Node(directory, {
        "node": {"name": "hub", "run": str(directory / "run")},
        "listen": [{"address": f"127.0.0.1:{ports[0]}", "advertise": f"localhost:{ports[0]}", "tls": own},
                   {"address": f"127.0.0.1:{ports[1]}"}],
        "admin": {"address": f"127.0.0.1:{ports[2]}"},
        "topics": {"load": {"retention": {"size": "256MiB"}, "segment": {"size": "64MiB"}}}}, "hub")
    hub.start()
    try:
        kept, _, ended, refused = rounds_at(hub, ports, own, 20, options)
        full_kept, full, _, more = rounds_at(hub, ports, own, 0, options)
    finally:
        hub.finish()
    refused += more
    words = (f"{kept:.0%} of 20 MiB/s kept, and {full_kept:.0%} of {full:.0f} MiB/s at full speed, where the crowd's own "
             f"work counts; {ended} handshakes ended, {refused} visits of others refused")
    complaints = [f"only {kept:.0%} of the rate"] if kept < 0.9 else []
    return 0, 0, complaints + ([f"{refused} visits refused"] if refused else []), words


ROWS = {"siege": siege}

if __name__ == "__main__":
    Crowd([int(word) for word in sys.argv[1:4]], int(sys.argv[4])).run()
