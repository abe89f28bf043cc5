"""The unit as it is installed: systemd understands it, and it leaves little of the system open."""

import pathlib
import re
import shutil
import socket
import subprocess

import pytest

from node import Node, binary, wait_until

BUILD = pathlib.Path(binary()).parent
EXPOSURE_MAX = 1.5  # systemd/README.md says what is left


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation of its own. The unit names the build's prefix, which may have no binary: the copy
    that is looked at names this one."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(prefix)], check=True,
                   capture_output=True, timeout=60)
    unit = prefix / "lib/systemd/system/millrace.service"
    text = unit.read_text(encoding="utf-8")
    assert re.search(r"^ExecStart=/\S*/millrace run -c /etc/millrace/millrace.yaml$", text, re.M)
    unit.write_text(re.sub(r"=/\S*/millrace ", f"={prefix}/bin/millrace ", text), encoding="utf-8")
    return prefix


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True,
                          timeout=60, check=False)


def test_systemd_understands_the_unit(prefix):
    done = analyze("verify", "--man=no", prefix / "lib/systemd/system/millrace.service")
    assert done.returncode == 0, done.stderr
    assert "millrace.service" not in done.stderr, done.stderr


def test_the_unit_is_closed(prefix):
    done = analyze("security", "--offline=true", f"--threshold={round(EXPOSURE_MAX * 10)}",
                   prefix / "lib/systemd/system/millrace.service")
    assert done.returncode == 0, done.stdout + done.stderr
    exposure = re.search(r"Overall exposure level .*: ([0-9.]+)", done.stdout)
    assert exposure and float(exposure.group(1)) <= EXPOSURE_MAX


def test_user_and_directory_are_made(prefix, tmp_path):
    """The installed files, in a root of their own."""
    for place in ("sysusers.d", "tmpfiles.d"):
        (tmp_path / "usr/lib" / place).mkdir(parents=True)
        shutil.copy(prefix / "lib" / place / "millrace.conf", tmp_path / "usr/lib" / place)
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, timeout=60)
    assert re.search(r"^millrace:", (tmp_path / "etc/passwd").read_text(encoding="utf-8"), re.M)
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create"], check=True, timeout=60)
    assert (tmp_path / "run/millrace").is_dir()


def test_speaks_the_notify_protocol(tmp_path):
    """READY=1 once it takes connections, WATCHDOG=1 at least twice per period, STOPPING=1 at the end."""
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(30)
        node = Node(tmp_path, {"node": {"run": str(tmp_path / "run")}})
        try:
            node.start(wait=False, environment={"NOTIFY_SOCKET": str(address),
                                                "WATCHDOG_USEC": "1000000"})
            wait_until(lambda: "READY=1" in notify.recv(4096).decode(), what="READY")
            assert node.is_ready()
            wait_until(lambda: "WATCHDOG=1" in notify.recv(4096).decode(), what="the watchdog")
            node.stop()
            wait_until(lambda: "STOPPING=1" in notify.recv(4096).decode(), what="the end")
        finally:
            assert node.finish() is None
