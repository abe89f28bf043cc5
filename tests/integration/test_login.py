"""The command line speaks to a node over the network: TLS, users, and clear words when that fails."""

import json
import os
import subprocess

import pytest

import raw_kafka
from node import run, wait_until
from security import PASSWORD, allow, certificates, openssl, secure  # noqa: F401


@pytest.fixture
def target(secure, certificates):
    """A node, and the words that name its TLS listener."""
    made = secure()
    return made, ["--node", f"localhost:{made.ports[1]}", "--ca", certificates / "ca.pem"]


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n")
    return path


def cli(*arguments, status=0, environment=None, **keywords):
    done = run(*arguments, env={**os.environ, **(environment or {})}, **keywords)
    assert done.returncode == status, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"])
def test_every_subcommand_logs_in(target, password_file, mechanism):
    node, where = target
    login = [*where, "--user", "admin", "--password-file", password_file, "--mechanism", mechanism]
    cli("topics", "create", "web", *login)
    cli("produce", "-t", "web", *login, input="one\ntwo\n")
    assert cli("consume", "-t", "web", "-o", "beginning", "-e", *login).stdout == "one\ntwo\n"
    assert "web" in cli("topics", *login).stdout
    cli("groups", *login)
    cli("acls", "add", "--allow", "bob", "--topic", "web", *login)
    assert "bob" in cli("acls", *login).stdout
    own = [*where, "--user", "admin", "--login-password-file", password_file, "--login-mechanism",
           mechanism]
    cli("users", "create", "carol", *own, input="hers\n")
    assert "carol" in cli("users", *own).stdout


def test_the_password_comes_from_where_ps_does_not_look(target, password_file, tmp_path):
    _, where = target
    user = [*where, "--user", "admin"]
    cli("topics", *user, environment={"MILLRACE_PASSWORD": PASSWORD})
    assert "needs a password" in cli("topics", *user, status=2, stdin=subprocess.DEVNULL).stderr
    for command in ("topics", "users"):
        told = cli(command, *user, "--password", "sesame", status=2).stderr
        assert "no argument" in told and "sesame" not in told
    # A file counts more than the environment.
    cli("topics", *user, "--password-file", password_file,
        environment={"MILLRACE_PASSWORD": "wrong"})
    client = tmp_path / "client.yaml"
    client.write_text(json.dumps({
        "node": where[1], "tls": {"ca": str(where[3])},
        "sasl": {"user": "admin", "password": f"${{file:{password_file}}}"}}))
    cli("topics", "--client", client)
    cli("topics", "--client", client, environment={"MILLRACE_PASSWORD": "wrong"})


def test_a_certificate_is_shown(node, free_port, certificates):
    port = free_port()
    made = node({"listen": [{"address": f"127.0.0.1:{port}", "advertise": f"localhost:{port}",
                             "tls": {"cert": str(certificates / "server.pem"),
                                     "key": str(certificates / "server.key"),
                                     "ca": str(certificates / "ca.pem"), "clients": "required"}}],
                 "authorization": {"super_users": ["CN=Edge-1,O=x"]}}).start()
    where = ["--node", made.bootstrap.replace("127.0.0.1", "localhost"), "--ca",
             certificates / "ca.pem"]
    own = ["--cert", certificates / "client.pem", "--key", certificates / "client.key"]
    cli("topics", "create", "t", *where, *own)
    assert "t" in cli("topics", *where, *own).stdout
    told = cli("topics", *where, status=1).stderr
    assert "refuses our certificate" in told
    assert "belong together" in cli("topics", *where, *own[:2], status=2).stderr


def test_what_fails_says_why(target, password_file, certificates, tmp_path):
    node, where = target
    plain = f"localhost:{node.ports[0]}"
    login = ["--user", "admin", "--password-file", password_file]
    wrong = tmp_path / "wrong"
    wrong.write_text("guess\n")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", "/CN=another", "-keyout", tmp_path / "other.key", "-out",
            tmp_path / "other.pem")
    for arguments, status, words in [
            ([*where[:2], *login, "--ca", tmp_path / "other.pem"], 1,
             "certificate (CN=localhost) is refused: unable to get local issuer certificate"),
            ([*where[:2], *login, "--tls"], 1, "is refused"),  # the system does not know it
            ([*where, *login, "--server-name", "hub-1"], 1, "is not for 'hub-1' but for DNS:localhost"),
            ([*where, "--user", "admin", "--password-file", wrong], 1, "does not let us in"),
            ([*where, "--user", "nobody", "--password-file", wrong], 1, "does not let us in"),
            ([*where], 69, "does it want a --user?"),
            ([*where[:2]], 69, "does it want --tls?"),
            (["--node", plain, "--ca", where[3], *login], 69, "does it speak TLS here?"),
            (["--node", plain, *login, "--mechanism", "PLAIN"], 2, "as it is"),
            (["--node", plain, *login, "--mechanism", "GSSAPI"], 2, "is wanted as mechanism"),
            (["--node", plain, "--mechanism", "PLAIN"], 2, "need a --user"),
            ([*where, "--ca", tmp_path / "nowhere"], 1, "nowhere"),
            ([*login], 2, "are for --node"),
            (["--data", node.data, *login], 2, "are for --node"),
            (["--node", "localhost:1", *login], 69, "refused")]:
        told = cli("topics", *arguments, status=status).stderr
        assert words in told, told
    assert node.is_running()


def test_a_client_file_is_checked(tmp_path):
    path = tmp_path / "client.yaml"
    for text, words in [("nodes: x\n", "client.yaml:1:1: "),
                        ("node: x\nsasl: {mechanism: GSSAPI}\n", "are known"),
                        ("node: [x]\n", "client.yaml:1:7"),
                        ("tls: {ca: '${file:/nowhere}'}\n", "/nowhere"),
                        ("node: x\nnode: y\n", "client.yaml:2:1")]:
        path.write_text(text)
        assert words in cli("topics", "--client", path, status=78).stderr
    assert "nowhere" in cli("topics", "--client", tmp_path / "nowhere", status=78).stderr


def test_rights_are_the_users(target, password_file):
    node, where = target
    admin = [*where, "--user", "admin", "--password-file", password_file]
    alice = [*where, "--user", "alice", "--password-file", password_file]
    cli("topics", "create", "web", *admin)
    cli("topics", "create", "other", *admin)
    allow(node, "User:alice", raw_kafka.READ, raw_kafka.TOPIC, "web")
    wait_until(lambda: cli("topics", *alice).stdout.count("\n") == 2, what="the one topic")
    assert "AUTHORIZATION_FAILED" in cli("topics", "delete", "web", "--yes", *alice, status=1).stderr
    assert "AUTHORIZATION_FAILED" in cli("acls", *alice, status=1).stderr
