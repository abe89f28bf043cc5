"""What goes wrong around the nodes: networks that swallow packets, a hub that stands still, disks
that fill up. Each row says besides how soon the flow went on.

Networks and small disks are made in namespaces of their own, which vanish with their last process.
"""

import contextlib
import json
import os
import subprocess
import time

from pair import Failed, Pair, binary

NOTICE_S = 4  # request_timeout and connect_timeout of the pair, and a second
RESUME_S = 5  # the longest back-off is 1 s; the rest is for a busy machine


class Lab:
    """A network and mount namespace, held by a process that sleeps; `enter` runs a command in it."""

    def __init__(self):
        user = [] if os.geteuid() == 0 else ["-r"]
        self.holder = subprocess.Popen(["unshare", *user, "-n", "-m", "sh", "-c",
                                        "ip link set lo up mtu 1500 && echo up && exec sleep 86400"],
                                       stdout=subprocess.PIPE)
        if self.holder.stdout.readline() != b"up\n":
            raise Failed("no namespaces: root is needed, or user namespaces")
        join = ["-U", "--preserve-credentials"] if user else []
        self.enter = ["nsenter", "-t", str(self.holder.pid), *join, "-n", "-m"]

    def do(self, *command):
        subprocess.run([*self.enter, *map(str, command)], check=True, stdout=subprocess.DEVNULL)

    def rule(self, port, verdict):
        """One rule for all packets to and from the port; '' takes it away."""
        self.do("nft", "flush ruleset")
        if verdict:
            self.do("nft", "\n".join([
                "add table inet lab",
                "add chain inet lab packets { type filter hook input priority 0; }",
                f"add rule inet lab packets tcp dport {port} {verdict}",
                f"add rule inet lab packets tcp sport {port} {verdict}"]))

    def mount(self, path, size):
        path.mkdir(parents=True, exist_ok=True)
        self.do("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", path)

    def resize(self, path, size):
        self.do("mount", "-o", f"remount,size={size}", path)

    def close(self):
        self.holder.kill()
        self.holder.wait()


@contextlib.contextmanager
def laboratory(directory, **configs):
    lab = Lab()
    pair = Pair(directory, lab.enter, **configs)
    try:
        yield lab, pair
    finally:
        pair.close()
        lab.close()


def ask(pair, what):
    """The edge's /sinks or /ledger, from where its data directory can be seen."""
    done = subprocess.run([*pair.enter, binary(), what, "-c", str(pair.edge.config_path), "-o", "json"],
                          capture_output=True, text=True, check=False, timeout=20)
    return json.loads(done.stdout) if done.stdout else None


def until(condition, timeout_s, what):
    """Polls; seconds that it took."""
    begin = time.monotonic()
    while not condition():
        if time.monotonic() - begin > timeout_s:
            raise Failed(f"waited {timeout_s} s in vain for {what}")
        time.sleep(0.02)
    return time.monotonic() - begin


def has_noticed(pair):
    sinks = ask(pair, "sinks")
    return sinks and (sinks[0]["failures"] > 0 or sinks[0]["retry_in_ms"] is not None)


def resumed(pair, before):
    return until(lambda: pair.end_offset() > before, RESUME_S, "the flow to go on")


# ---- networks ----

def cut(directory, options):
    """network cut three times for some seconds, packets vanish"""
    with laboratory(directory) as (lab, pair):
        pair.start()
        pair.write(30 * 5000, 5000)
        pair.wait_arrived(1000)
        noticed, back = [], []
        for pause_s in (3, 5, 8):
            lab.rule(pair.port, "drop")
            noticed.append(until(lambda: has_noticed(pair), NOTICE_S, "the edge to notice"))
            time.sleep(max(0, pause_s - noticed[-1]))
            lab.rule(pair.port, "")
            back.append(resumed(pair, pair.end_offset()))
            time.sleep(1)
        pair.wait_written()
        return (*pair.verdict(), f"noticed after {max(noticed):.1f} s at most, "
                                 f"went on after {max(back):.1f} s")


def half_open(directory, options):
    """network cut, hub killed and started behind it, network back"""
    with laboratory(directory) as (lab, pair):
        pair.start()
        pair.write(20 * 5000, 5000)
        pair.wait_arrived(1000)
        back = []
        for _ in range(3):
            lab.rule(pair.port, "drop")
            pair.hub.kill()
            pair.start(pair.hub)
            time.sleep(1.5)
            lab.rule(pair.port, "")
            until(lambda: pair.end_offset() > 0, 10, "the hub")
            back.append(resumed(pair, pair.end_offset()))
        pair.wait_written()
        return (*pair.verdict(), f"went on after {max(back):.1f} s at most")


def slow(directory, options):
    """network to the hub of 1 MB/s, and losing packets, under a backlog of 190 MB"""
    with laboratory(directory) as (lab, pair):
        lab.rule(pair.port, "limit rate over 1 mbytes/second burst 64 kbytes drop")
        pair.start()
        pair.write(1000000 // (10 if options.quick else 1), wait=True)
        read = until(lambda: (ask(pair, "ledger") or {"sources": [{"in": 0}]})["sources"][0]["in"]
                     >= pair.lines, 20, "the edge to read it all")
        time.sleep(5)
        there = pair.end_offset()
        if there >= pair.lines:
            raise Failed("the network was not slow")
        peak = [line for line in open(f"/proc/{pair.edge.process.pid}/status", encoding="ascii")
                if line.startswith("VmHWM")][0].split()[1]
        lab.rule(pair.port, "")
        return (*pair.verdict(), f"read and kept by the edge {read:.1f} s after the last line, with "
                                 f"{there} of {pair.lines} at the hub; edge's peak RSS "
                                 f"{int(peak) // 1024} MiB")


def stopped(directory, options):
    """hub stopped (SIGSTOP) for 30 s"""
    pair = Pair(directory)
    try:
        pair.start()
        pair.write((10 if options.quick else 40) * 5000, 5000)
        pair.wait_arrived(1000)
        with pair.hub.paused():
            noticed = until(lambda: has_noticed(pair), NOTICE_S, "the edge to notice")
            time.sleep(5 if options.quick else 30)
        back = resumed(pair, pair.end_offset())
        pair.wait_written()
        return (*pair.verdict(), f"noticed after {noticed:.1f} s, went on after {back:.1f} s")
    finally:
        pair.close()


# ---- disks ----

def hub_disk_full(directory, options):
    """hub's disk full while the edge forwards, then there is space"""
    with laboratory(directory) as (lab, pair):
        lab.mount(pair.hub.data, "8m")
        pair.start()
        pair.write(300000, 50000)
        pair.wait_written()
        time.sleep(2)
        held = pair.end_offset()
        if held == 0 or held >= pair.lines:
            raise Failed(f"{held} records in a disk that should be full")
        lab.resize(pair.hub.data, "200m")
        back = resumed(pair, held)
        return (*pair.verdict(), f"full with {held} of {pair.lines} records, went on after {back:.1f} s, "
                                 "nobody was started again")


def edge_disk_full(directory, options):
    """edge's disk full while the hub is down (when_full: block), then there is space"""
    with laboratory(directory) as (lab, pair):
        lab.mount(pair.edge.data, "8m")
        pair.start(pair.edge)
        pair.write(300000, 50000)
        pair.wait_written()
        time.sleep(2)

        def taken():
            return ask(pair, "ledger")["sources"][0]["in"]
        held = taken()
        if held >= pair.lines:
            raise Failed("the disk was not full")
        lab.resize(pair.edge.data, "200m")
        back = until(lambda: taken() > held, 1.5, "the source to go on")
        pair.start(pair.hub)
        pair.wait_arrived()
        found, balanced = pair.count(), ask(pair, "ledger")["balanced"]
        return (found["lost"], found["repeated"], [] if balanced else ["the ledger does not balance"],
                f"full with {held} of {pair.lines} lines, read on after {back:.2f} s")


ROWS = {"cut": cut, "half-open": half_open, "slow": slow, "stopped": stopped,
        "hub-disk-full": hub_disk_full, "edge-disk-full": edge_disk_full}
