"""The unit as it is installed: systemd understands it, and it leaves little of the system open."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

import pytest

from node import PATIENCE_S, Node, binary, free_port, wait_until

BUILD = pathlib.Path(binary()).parent
EXPOSURE_MAX = 1.5  # systemd/README.md says what is left


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation of its own. The unit names the build's prefix, which may have no binary: the copy
    that is looked at names this one."""
    prefix = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(prefix)], check=True,
                   capture_output=True, timeout=PATIENCE_S)
    unit = prefix / "lib/systemd/system/millrace.service"
    text = unit.read_text(encoding="utf-8")
    assert re.search(r"^ExecStart=/\S*/millrace run -c /etc/millrace/millrace.yaml$", text, re.M)
    unit.write_text(re.sub(r"=/\S*/millrace ", f"={prefix}/bin/millrace ", text), encoding="utf-8")
    return prefix


def analyze(*arguments):
    return subprocess.run(["systemd-analyze", *map(str, arguments)], capture_output=True, text=True,
                          timeout=PATIENCE_S, check=False)


def test_systemd_understands_the_unit(prefix):
    done = analyze("verify", "--man=no", prefix / "lib/systemd/system/millrace.service")
    assert done.returncode == 0, done.stderr
    assert "millrace.service" not in done.stderr, done.stderr
    done = analyze("verify", "--man=no", prefix / "lib/systemd/system/millrace.socket")
    assert done.returncode == 0 and "millrace" not in done.stderr, done.stderr


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
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}"], check=True, timeout=PATIENCE_S)
    assert re.search(r"^millrace:", (tmp_path / "etc/passwd").read_text(encoding="utf-8"), re.M)
    subprocess.run(["systemd-tmpfiles", f"--root={tmp_path}", "--create"], check=True, timeout=PATIENCE_S)
    assert (tmp_path / "run/millrace").is_dir()


def test_speaks_the_notify_protocol(tmp_path):
    """READY=1 once it takes connections, WATCHDOG=1 at least twice per period, STOPPING=1 at the end."""
    address = tmp_path / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(address))
        notify.settimeout(PATIENCE_S)
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


# What systemd does for a .socket unit: descriptors from 3 on, and whose they are.
ACTIVATE = """
import os, sys
count, command = int(sys.argv[1]), sys.argv[2:]
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=str(os.getpid()))
os.execv(command[0], command)
"""


def test_takes_the_sockets_of_a_socket_unit(node, free_port, tmp_path):
    """A TCP and a Unix socket are there before the node, and serve the listeners of their addresses; a
    connection that came too early is answered; a socket without a listener is said. After a stop the
    sockets stay."""
    port = free_port()
    path = str(tmp_path / "early.sock")
    sockets = [socket.create_server(("127.0.0.1", port)), socket.socket(socket.AF_UNIX),
               socket.create_server(("127.0.0.1", 0))]
    sockets[1].bind(path)
    sockets[1].listen()
    early = socket.create_connection(("127.0.0.1", port))
    made = node({"listen": [{"address": f"127.0.0.1:{port}"}, {"address": f"unix:{path}"}]})
    made.write_config()

    def place_sockets():
        copies = [os.dup(opened.fileno()) for opened in sockets]
        for number, copy in enumerate(copies):
            os.dup2(copy, 3 + number, inheritable=True)

    with open(made.directory / "stderr", "ab") as stderr:
        made.process = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, "3", binary(), "run", "-c", str(made.config_path)],
            stderr=stderr, close_fds=False, preexec_fn=place_sockets)
    made.wait_for_output("ready")
    for client, address in ((early, None), (socket.socket(socket.AF_UNIX), path)):
        if address:
            client.connect(address)
        client.settimeout(PATIENCE_S)
        client.sendall(bytes.fromhex("0000000a 0012 0000 00000001 0000"))  # ApiVersions v0
        assert client.recv(8)[4:] == bytes.fromhex("00000001")
        client.close()
    assert made.stderr().count("an inherited socket has no listener") == 1
    made.stop()
    assert os.path.exists(path)
    for opened in sockets:
        opened.close()


def test_can_be_stopped_from_its_first_moment_on(tmp_path):
    """SIGTERM as soon as a port takes connections, when much of the node is not open yet: an orderly end.
    The sources make the rest of the opening long enough to be met."""
    sources = {f"s{place}": {"type": "file", "paths": [str(tmp_path / f"{place}.log")], "topic": "app"}
               for place in range(300)}
    node = Node(tmp_path, {"node": {"run": str(tmp_path / "run")}, "sources": sources,
                           "listen": [{"address": f"127.0.0.1:{free_port()}"}]})
    try:
        for _ in range(5):
            node.start(wait=False)
            with socket.socket() as probe:
                wait_until(lambda: probe.connect_ex(("127.0.0.1", node.ports[0])) == 0, what="the port")
            node.stop()
    finally:
        assert node.finish() is None
