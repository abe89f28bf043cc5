"""Unix sockets: whose they are, who may connect, and who a process at the other end is."""

import grp
import json
import os
import pwd
import socket
import stat
import struct
import tempfile

import pytest

import raw_kafka
from node import run

CREATE_TOPICS, TOPIC_AUTHORIZATION_FAILED = 19, 29
NOBODY, DAEMON = pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("daemon").pw_uid
WITHOUT_NAME = 54321
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def directory():
    """One that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="millrace-sockets") as path:
        os.chmod(path, 0o755)
        yield path


def rights(path):
    found = os.stat(path)
    return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid


def connect_as(uid, path):
    """A connection that another user has made: a child becomes that user, connects and hands it over.
    None: it was not let in."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            with socket.socket(socket.AF_UNIX) as made:
                made.connect(path)
                socket.send_fds(theirs, [b"y"], [made.fileno()])
        except PermissionError:
            theirs.send(b"n")
        finally:
            os._exit(0)
    ours.settimeout(60)
    answer, fds, _, _ = socket.recv_fds(ours, 1, 1)
    os.waitpid(child, 0)
    ours.close()
    theirs.close()
    return socket.socket(fileno=fds[0]) if answer == b"y" else None


def create(uid, path, topic):
    """What `ask` says; a connection that is refused may be gone while the request is written."""
    try:
        return ask(uid, path, topic)
    except (ConnectionResetError, BrokenPipeError):
        return None


def ask(uid, path, topic):
    """CreateTopics v2 by that user: the error; None: the connection was closed."""
    body = struct.pack(">i", 1) + raw_kafka.string(topic) + \
        struct.pack(">ihiii?", 1, 1, 0, 0, 30000, False)
    with connect_as(uid, path) as client:
        client.settimeout(60)
        frame = struct.pack(">hhih", CREATE_TOPICS, 2, 7, -1) + body
        client.sendall(struct.pack(">i", len(frame)) + frame)
        answer = b""
        while len(answer) < 4 or len(answer) < 4 + struct.unpack(">i", answer[:4])[0]:
            part = client.recv(4096)
            if not part:
                return None
            answer += part
    return struct.unpack(">h", answer[16 + 2 + len(topic):][:2])[0]


def test_mode_and_group_are_as_configured(node, directory):
    path = f"{directory}/kafka.sock"
    group = os.getgid()
    made = node({"node": {"socket": {"mode": "0600", "group": group}},
                 "listen": [{"address": f"unix:{path}", "socket": {
                     "mode": "0622", "group": grp.getgrgid(group).gr_name,
                     "owner": pwd.getpwuid(os.getuid()).pw_name}}]}).start()
    assert rights(path) == (0o622, os.getuid(), group)
    for name in ("node.sock", "admin.sock"):
        assert rights(made.data / name) == (0o600, os.getuid(), group)


@needs_root
def test_a_socket_belongs_to_whom_the_configuration_says(node, directory):
    path = f"{directory}/kafka.sock"
    node({"listen": [{"address": f"unix:{path}", "socket": {
        "mode": "0600", "owner": "nobody", "group": "daemon"}}]}).start()
    assert rights(path) == (0o600, NOBODY, grp.getgrnam("daemon").gr_gid)
    connect_as(NOBODY, path).close()
    assert connect_as(DAEMON, path) is None


@pytest.mark.parametrize("listen,words", [
    ({"address": "127.0.0.1:9", "socket": {"mode": "0600"}}, "are for Unix sockets"),
    ({"address": "127.0.0.1:9", "peer_names": "name"}, "are for Unix sockets"),
    ({"address": "unix:/x", "socket": {"mode": "rw"}}, "an octal mode"),
    ({"address": "unix:/x", "socket": {"mode": "99999"}}, "an octal mode"),
])
def test_what_makes_no_sense_is_refused(tmp_path, listen, words):
    path = tmp_path / "bad.yaml"
    path.write_text(json.dumps({"node": {"data": "/x"}, "listen": [listen]}))
    done = run("check", "-c", path)
    assert done.returncode == 78 and words in done.stderr + done.stdout


@pytest.mark.parametrize("key,name", [("owner", "no-such-user"), ("group", "no-such-group")])
def test_a_name_that_nobody_has_is_said_at_the_start(node, directory, key, name):
    made = node({"listen": [{"address": f"unix:{directory}/kafka.sock", "socket": {key: name}}]})
    made.write_config()
    done = run("run", "-c", made.config_path)
    assert done.returncode != 0 and name in done.stderr


@needs_root
def test_a_process_is_known_by_its_number_or_by_its_name(node, directory):
    """Two sockets of one node; who may create topics is told by principals."""
    paths = {kind: f"{directory}/{kind}.sock" for kind in ("uid", "name")}
    made = node({"listen": [{"address": f"unix:{path}", "socket": {"mode": "0666"},
                             "peer_names": kind} for kind, path in paths.items()],
                 "authorization": {"enforce": "always", "super_users": [
                     f"uid.{DAEMON}", "nobody", f"uid.{WITHOUT_NAME}"]}}).start()
    expected = {("uid", DAEMON): 0, ("uid", NOBODY): TOPIC_AUTHORIZATION_FAILED,
                ("uid", WITHOUT_NAME): 0, ("name", NOBODY): 0,
                ("name", DAEMON): TOPIC_AUTHORIZATION_FAILED, ("name", WITHOUT_NAME): 0}
    for (kind, uid), error in expected.items():
        assert create(uid, paths[kind], f"{kind}-{uid}") == error, (kind, uid)


@needs_root
def test_rules_make_principals_of_names(node, directory):
    path = f"{directory}/kafka.sock"
    made = node({"listen": [{"address": f"unix:{path}", "socket": {"mode": "0666"},
                             "peer_names": "name"}],
                 "authorization": {"enforce": "always", "super_users": ["LOCAL-NOBODY"],
                                   "peer_principals": ["RULE:^(n.*)$/local-$1/U",
                                                       "RULE:^n(.*)$/other/"]}}).start()
    assert create(NOBODY, path, "by-nobody") == 0
    assert create(DAEMON, path, "by-daemon") is None  # no rule: closed
    made.wait_for_output("leads to no principal")


@needs_root
def test_many_come_and_go_while_names_are_looked_up(node, directory):
    """Connections that end before their user has a name leave nothing behind, also at the end."""
    path = f"{directory}/kafka.sock"
    made = node({"listen": [{"address": f"unix:{path}", "socket": {"mode": "0666"},
                             "peer_names": "name"}],
                 "authorization": {"enforce": "always", "super_users": ["nobody"]}}).start()
    for _ in range(200):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
    assert create(NOBODY, path, "afterwards") == 0
    waiting = [socket.socket(socket.AF_UNIX) for _ in range(50)]
    for client in waiting:
        client.connect(path)
    made.stop(60)
    for client in waiting:
        client.close()
