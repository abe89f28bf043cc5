"""What the compiler and the kernel guard: marks of the binary, life without privileges, and no writes
outside of the data directory."""

import os
import pathlib
import platform
import pwd
import re
import shutil
import subprocess

import pytest

from node import PATIENCE_S, Node, binary, is_sanitized, run, wait_until

CAP_DAC_READ_SEARCH = 1 << 2

# A mount namespace in which only $1 can be written; then the rest of the arguments is run.
READ_ONLY_WORLD = r"""
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
while read -r _ where _; do
    case "$where" in "$1"|/proc*|/sys*|/dev*) ;; *) mount -o remount,bind,ro "$where" 2>/dev/null || true ;; esac
done < /proc/self/mounts
mount -o remount,bind,rw "$1"
if touch "$2" 2>/dev/null; then echo "the world is still writable" >&2; exit 99; fi
shift 2
exec "$@"
"""


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments, binary()], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=True).stdout


def test_the_binary_is_guarded():
    """Position independent, relocations read-only and bound at start, no executable stack, canaries."""
    header, segments, dynamic = readelf("-h"), readelf("-l"), readelf("-d")
    assert re.search(r"Type:\s+DYN", header)
    assert "GNU_RELRO" in segments
    assert re.search(r"\bBIND_NOW\b|Flags:.*\bNOW\b", dynamic)
    assert re.search(r"Flags:.*\bPIE\b", dynamic)
    stack = re.search(r"GNU_STACK(?:\s+0x[0-9a-f]+){5}\s+(\w+)", segments)
    assert stack and stack.group(1) == "RW"
    assert not re.search(r"^\s+LOAD.*\bRWE\b", segments, re.M)
    assert "TEXTREL" not in dynamic
    symbols = readelf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    if not is_sanitized():
        assert re.search(r"__\w+_chk\b", symbols.replace("__stack_chk_fail", "")), "not fortified"


@pytest.mark.skipif(platform.machine() != "x86_64", reason="control-flow enforcement of x86")
def test_control_flow_is_enforced_where_the_machine_can():
    properties = readelf("-n")
    assert "IBT" in properties and "SHSTK" in properties


def lines_of(made):
    return run("consume", "--data", made.data, "-t", "logs", "-o", "beginning", "-e").stdout.splitlines()


def status_of(process):
    text = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def test_nothing_can_be_gained(node):
    """no_new_privs is set, so that a child could not become more than this process is."""
    made = node({}).start()
    assert status_of(made.process)["NoNewPrivs"] == "1"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root and setpriv")
def test_runs_without_root(tmp_path):
    """As the unit runs it: another user, and the one capability that reads logs. A log that only root may
    read is read; without the capability it is named as unreadable, and the node lives."""
    nobody = pwd.getpwnam("nobody")
    home = tmp_path / "home"
    home.mkdir()
    for path in (tmp_path, *list(tmp_path.parents)[:2]):  # pytest's own, closed to others
        path.chmod(path.stat().st_mode | 0o011)
    log = tmp_path / "secret.log"
    log.write_text("a line\n", encoding="utf-8")
    log.chmod(0o600)
    for name, extra, may_read in (
            ("with", ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"], True),
            ("without", ["--inh-caps=-all", "--ambient-caps=-all"], False)):
        made = Node(home, {"sources": {"log": {"type": "file", "paths": [str(log)], "topic": "logs"}}},
                    name=name)
        made.data.mkdir()
        os.chown(made.data, nobody.pw_uid, nobody.pw_gid)
        try:
            made.start(wrapper=["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}",
                                "--clear-groups", *extra, "--no-new-privs"])
            status = status_of(made.process)
            assert int(status["CapEff"], 16) == (CAP_DAC_READ_SEARCH if may_read else 0)
            assert "running as root" not in made.stderr()
            if may_read:
                wait_until(lambda: lines_of(made) == ["a line"], what="the line")
            made.stop()
        finally:
            assert made.finish() is None


def can_mount():
    done = subprocess.run(["unshare", "-m", "sh", "-c", "mount --make-rprivate / && mount --bind / /mnt"],
                          capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs a mount namespace of its own")
def test_writes_nothing_outside_of_its_data(tmp_path, free_port):
    """The whole world is read-only but for the node's own directory: it starts, collects, serves, ends."""
    log = tmp_path / "a.log"
    log.write_text("one\ntwo\n", encoding="utf-8")
    made = Node(tmp_path, {
        "listen": [{"address": f"127.0.0.1:{free_port()}"}],
        "sources": {"log": {"type": "file", "paths": [str(log)], "topic": "logs"}}})
    made.data.mkdir()
    try:
        made.start(wrapper=["unshare", "-m", "sh", "-c", READ_ONLY_WORLD, "sh", str(made.data),
                            str(tmp_path / "stray")])
        wait_until(lambda: lines_of(made) == ["one", "two"], what="the lines")
        made.stop()
    finally:
        assert made.finish() is None
    assert not (tmp_path / "stray").exists()
    assert made.stderr().count("read-only") == 0, made.stderr()
