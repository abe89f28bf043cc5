"""`millrace tls`: a small authority whose certificates others take: OpenSSL, Python, a node."""

import os
import socket
import ssl
import stat
import struct
import subprocess

import pytest

from node import PATIENCE_S, run


def tls(*arguments, status=0):
    done = run("tls", *arguments)
    assert done.returncode == status, done.stdout + done.stderr
    return done


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A directory with an authority, a node's pair and a client's."""
    where = tmp_path_factory.mktemp("tls") / "a" / "b"
    tls("init", "-d", where, "--name", "our mesh")
    tls("issue", "-d", where, "localhost", "127.0.0.1", "::1", "*.example.net")
    tls("issue", "-d", where, "--client", "alice", "--organization", "ops, inc.")
    return where


def test_openssl_verifies_what_is_issued(authority):
    for name, purpose in (("localhost", "sslserver"), ("localhost", "sslclient"),
                          ("alice", "sslclient")):
        done = openssl("verify", "-x509_strict", "-purpose", purpose, "-CAfile",
                       authority / "ca.pem", authority / f"{name}.pem")
        assert done.returncode == 0, done.stdout + done.stderr
    done = openssl("verify", "-purpose", "sslserver", "-CAfile", authority / "ca.pem",
                   authority / "alice.pem")
    assert done.returncode != 0  # a client's is not for serving
    text = openssl("x509", "-in", authority / "localhost.pem", "-noout", "-text").stdout
    assert "prime256v1" in text
    for name in ("DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1",
                 "DNS:*.example.net"):
        assert name in text
    assert "pathlen:0" in openssl("x509", "-in", authority / "ca.pem", "-noout", "-text").stdout


def test_keys_are_for_their_owner_alone(authority):
    for path in authority.glob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert openssl("pkey", "-in", path, "-noout", "-check").returncode == 0


def test_nothing_is_written_over(authority):
    before = {path: path.read_bytes() for path in authority.iterdir()}
    assert "is there already" in tls("init", "-d", authority, status=1).stderr
    assert "is there already" in tls("issue", "-d", authority, "localhost", status=1).stderr
    (authority / "half.pem").write_text("mine")
    assert "is there already" in tls("issue", "-d", authority, "half", status=1).stderr
    assert not (authority / "half.key").exists()
    assert (authority / "half.pem").read_text() == "mine"
    (authority / "half.pem").unlink()
    assert before == {path: path.read_bytes() for path in authority.iterdir()}


def test_nothing_outlives_the_authority(tmp_path):
    tls("init", "-d", tmp_path, "--days", "2")
    tls("issue", "-d", tmp_path, "n", "--days", "10")
    ends = [openssl("x509", "-in", tmp_path / f"{name}.pem", "-noout", "-enddate").stdout
            for name in ("ca", "n")]
    assert ends[0] == ends[1] != ""


def test_show_tells_what_matters_and_no_key(authority, tmp_path):
    shown = tls("show", authority / "localhost.pem").stdout
    for words in ("subject: CN=localhost", "names:   DNS:localhost, IP:127.0.0.1, IP:::1",
                  "issuer:  CN=our mesh", "key:     EC, 256 bits", "good for: serving connecting"):
        assert words in shown
    both = tmp_path / "both.pem"
    both.write_bytes((authority / "ca.pem").read_bytes() + (authority / "alice.key").read_bytes() +
                     (authority / "alice.pem").read_bytes())
    shown = tls("show", both).stdout
    assert "good for: signing others" in shown
    assert "subject: CN=alice,O=ops\\, inc." in shown
    assert "PRIVATE" not in shown
    assert "no certificate" in tls("show", authority / "alice.key", status=1).stderr


def test_check_says_what_is_wrong(authority, tmp_path):
    pair = ["--cert", authority / "localhost.pem", "--key", authority / "localhost.key", "--ca",
            authority / "ca.pem"]
    tls("check", *pair, "localhost")
    tls("check", *pair, "127.0.0.1")
    tls("check", *pair, "a.example.net")
    assert "is not for 'other' but for" in tls("check", *pair, "other", status=1).stderr
    pair[3] = authority / "alice.key"
    assert "does not belong" in tls("check", *pair, status=1).stderr
    client = ["--cert", authority / "alice.pem", "--ca", authority / "ca.pem"]
    tls("check", "--client", *client)
    assert "purpose" in tls("check", *client, status=1).stderr
    tls("init", "-d", tmp_path)
    assert "certificate" in tls("check", "--client", "--cert", authority / "alice.pem", "--ca",
                                tmp_path / "ca.pem", status=1).stderr


def test_what_was_revoked_is_refused(authority):
    for name in ("first", "second"):
        tls("issue", "-d", authority, name)
        tls("revoke", "-d", authority, authority / f"{name}.pem")
    tls("revoke", "-d", authority)  # a new date, the same content
    crl = ["--ca", authority / "ca.pem", "--crl", authority / "crl.pem"]
    for name in ("first", "second"):
        assert "revoked" in tls("check", "--cert", authority / f"{name}.pem", *crl, status=1).stderr
    tls("check", "--cert", authority / "localhost.pem", *crl)
    done = openssl("verify", "-crl_check", "-CAfile", authority / "ca.pem", "-CRLfile",
                   authority / "crl.pem", authority / "first.pem")
    assert "certificate revoked" in done.stdout + done.stderr
    assert tls("show", authority / "crl.pem").stdout.count("serial:") == 2


@pytest.mark.parametrize("arguments,status,words", [
    ([], 2, "init, issue"),
    (["frob"], 2, "init, issue"),
    (["init", "x"], 2, "--name"),
    (["init", "--days", "0"], 2, "1 to 36500"),
    (["issue"], 2, "a name"),
    (["issue", "../x"], 2, "name of the files"),
    (["issue", "ca"], 2, "name of the files"),
    (["issue", "x"], 1, "ca.pem"),
    (["show"], 2, "which files"),
    (["show", "/nowhere"], 1, "/nowhere"),
    (["check"], 2, "--cert"),
    (["--nmae", "x"], 2, "did you mean --name"),
])
def test_what_is_not_understood(tmp_path, arguments, status, words):
    if arguments[:1] in (["init"], ["issue"]):
        arguments = [*arguments, "-d", tmp_path / "new"]
    assert words in tls(*arguments, status=status).stderr
    assert not (tmp_path / "new").exists()


def test_names_that_cannot_be_are_refused(authority):
    for name in ("under score", "a,DNS:evil.example", "x" * 65, "-n"):
        done = run("tls", "issue", "-d", authority, "--", name)
        assert done.returncode == 2, done.stderr
        assert not (authority / f"{name}.pem").exists()


def test_another_key_cannot_sign(authority, tmp_path):
    (tmp_path / "ca.pem").write_bytes((authority / "ca.pem").read_bytes())
    (tmp_path / "ca.key").write_bytes((authority / "alice.key").read_bytes())
    assert "does not belong" in tls("issue", "-d", tmp_path, "x", status=1).stderr
    (tmp_path / "ca.pem").write_bytes((authority / "alice.pem").read_bytes())
    assert "not an authority" in tls("issue", "-d", tmp_path, "x", status=1).stderr


def test_a_node_serves_with_it(authority, node, free_port):
    """Python's own checks, at their strictest, on both sides of mutual TLS."""
    port = free_port()
    node({"listen": [{"address": f"127.0.0.1:{port}",
                      "tls": {"cert": str(authority / "localhost.pem"),
                              "key": str(authority / "localhost.key"),
                              "ca": str(authority / "ca.pem"), "clients": "required"}}]}).start()
    context = ssl.create_default_context(cafile=str(authority / "ca.pem"))
    context.verify_flags |= getattr(ssl, "VERIFY_X509_STRICT", 0)
    context.load_cert_chain(authority / "alice.pem", authority / "alice.key")
    for name in ("localhost", "127.0.0.1"):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain, \
                context.wrap_socket(plain, server_hostname=name) as stream:
            assert stream.version() == "TLSv1.3"
            stream.sendall(struct.pack(">ihhih", 10, 18, 0, 1, -1))
            assert len(stream.recv(4)) == 4  # ApiVersions is answered


def test_the_directory_of_a_new_authority_is_closed(tmp_path):
    tls("init", "-d", tmp_path / "new")
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o700
