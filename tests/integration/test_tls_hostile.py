"""Those who do not mean well, or do it wrong: each is refused with the right words, counted by its
reason, and disturbs nobody: a connection that was open before goes on, and another gets in."""

import contextlib
import os
import re
import socket
import ssl
import struct
import subprocess
import time

import pytest

from authority import Authority
from node import PATIENCE_S, Node, free_port, run, wait_until
from security import metric

API_VERSIONS = struct.pack(">ihhih", 10, 18, 0, 1, -1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("hostile") / "tls")
    made.issue("hub", "localhost", "127.0.0.1")
    for name in ("good", "revoked"):
        made.issue(name, client=True)
    made.issue("lost", "localhost")
    for name in ("revoked", "lost"):
        made.revoke(name)
    made.issue_dated("old", "20200101000000Z", "20210101000000Z")
    made.issue_dated("early", "20400101000000Z", "20450101000000Z")
    other = Authority(made.directory / "other")
    other.issue("stranger", client=True)
    for suffix in ("pem", "key"):
        os.link(other.path(f"stranger.{suffix}"), made.path(f"stranger.{suffix}"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=self", "-days", "2", "-keyout",
                    made.path("self.key"), "-out", made.path("self.pem")], check=True,
                   capture_output=True)
    return made


def start_hub(authority, directory, **broker):
    """Listens with TLS, with TLS and certificates of clients, and plainly; in this order."""
    strict = authority.tls("hub", clients="required", crl=authority.path("crl.pem"))
    made = Node(directory, {
        "listen": [{"address": f"127.0.0.1:{free_port()}", "tls": authority.tls("hub")},
                   {"address": f"127.0.0.1:{free_port()}", "tls": strict},
                   {"address": f"127.0.0.1:{free_port()}"}],
        "broker": broker, "authorization": {"enforce": "never"}})
    return made.start()


@pytest.fixture(scope="module")
def hub(authority, tmp_path_factory):
    made = start_hub(authority, tmp_path_factory.mktemp("hub"))
    for port, name in ((made.ports[0], None), (made.ports[1], "good")):
        with connect(authority, port, name) as stream:  # behind those who asked whether it is ready
            assert is_answered(stream)
    yield made
    complaint = made.finish()
    assert complaint is None, complaint


def page(node):
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(node.data / "admin.sock"))
        admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        text = b""
        while part := admin.recv(65536):
            text += part
    return text.decode()


def reasons(node):
    found = re.findall(r'^millrace_net_tls_failures_total{reason="(\w+)"} (\d+)', page(node), re.M)
    return {reason: int(count) for reason, count in found}


def context_of(authority, name=None):
    context = ssl.create_default_context(cafile=authority.path("ca.pem"))
    if name:
        context.load_cert_chain(authority.path(f"{name}.pem"), authority.path(f"{name}.key"))
    return context


def connect(authority, port, name=None):
    plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    return context_of(authority, name).wrap_socket(plain, server_hostname="localhost")


def is_answered(stream):
    stream.sendall(API_VERSIONS)
    size = b""
    while len(size) < 4:
        part = stream.recv(4 - len(size))
        if not part:
            return False
        size += part
    left = struct.unpack(">i", size)[0]
    while left > 0:
        left -= len(stream.recv(left))
    return True


@contextlib.contextmanager
def refusal(hub, authority, reason):
    """Inside, one handshake fails for this reason; an old and a new connection do not mind."""
    before = reasons(hub)
    with connect(authority, hub.ports[0]) as old:
        assert is_answered(old)
        yield
        wait_until(lambda: reasons(hub)[reason] == before[reason] + 1, what=f"one more '{reason}'")
        assert is_answered(old)
    with connect(authority, hub.ports[0]) as new:
        assert is_answered(new)
    assert reasons(hub) == {**before, reason: before[reason] + 1}


def s_client(port, *arguments, text=""):
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", *arguments],
                          input=text, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("name,alert", [
    (None, "alert certificate required"),
    ("stranger", "alert unknown ca"),
    ("self", "alert"),
    ("old", "alert certificate expired"),
    ("early", "alert bad certificate"),
    ("revoked", "alert certificate revoked"),
])
def test_clients_are_refused_with_the_alert_that_fits(hub, authority, name, alert):
    own = ["-cert", authority.path(f"{name}.pem"), "-key", authority.path(f"{name}.key")] \
        if name else []
    with refusal(hub, authority, "certificate"):
        told = s_client(hub.ports[1], *own, "-ign_eof")
        assert alert in told, told
    with connect(authority, hub.ports[1], "good") as good:
        assert is_answered(good)


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(hub, authority, version):
    with refusal(hub, authority, "version"):
        told = s_client(hub.ports[0], version, "-cipher", "ALL:@SECLEVEL=0")
        assert "alert protocol version" in told, told


def accepted(port, *arguments):
    told = s_client(port, *arguments)
    found = re.search(r"Cipher is (\S+)", told)
    return found.group(1) if found and found.group(1) != "(NONE)" else None


def test_only_sane_ciphers_are_offered(hub):
    """What is good, one after the other; and all others that OpenSSL knows, at once."""
    good = ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
            "ECDHE-ECDSA-CHACHA20-POLY1305"]
    for cipher in good:
        assert accepted(hub.ports[0], "-tls1_2", "-cipher", cipher) == cipher
    others = ":".join(["ALL", "COMPLEMENTOFALL", *("!" + cipher for cipher in good), "@SECLEVEL=0"])
    assert accepted(hub.ports[0], "-tls1_2", "-cipher", others) is None
    taken = {suite for suite in ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                                 "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
                                 "TLS_AES_128_CCM_8_SHA256")
             if accepted(hub.ports[0], "-tls1_3", "-ciphersuites", suite)}
    assert taken == {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
                     "TLS_CHACHA20_POLY1305_SHA256"}


def test_no_renegotiation_and_no_compression(hub, authority):
    told = s_client(hub.ports[0], "-tls1_2", "-CAfile", authority.path("ca.pem"), text="R\n")
    assert "no renegotiation" in told, told
    assert "Compression: NONE" in told and "Verify return code: 0" in told
    with connect(authority, hub.ports[0]) as new:
        assert is_answered(new)


def test_sessions_are_resumed(hub, authority, tmp_path):
    session = tmp_path / "session"
    for version in ("-tls1_2", "-tls1_3"):
        before = metric(hub, "millrace_net_tls_resumed_total")
        context = context_of(authority)
        limit = ssl.TLSVersion.TLSv1_2 if version == "-tls1_2" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = limit
        with context.wrap_socket(socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S),
                                 server_hostname="localhost") as first:
            assert is_answered(first) and not first.session_reused
            session = first.session
        with context.wrap_socket(socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S),
                                 server_hostname="localhost", session=session) as second:
            assert is_answered(second) and second.session_reused
        assert metric(hub, "millrace_net_tls_resumed_total") == before + 1


@pytest.mark.parametrize("words,reason", [
    (API_VERSIONS + bytes(20), "not_tls"),           # Kafka, plainly
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not_tls"),
    (bytes(range(7, 200)), "not_tls"),
    (b"\x16\x03\x01\xff\xff" + bytes(100), "not_tls"),  # a record longer than any may be
    (b"", "gone"),
    (b"\x16\x03\x01\x00\xc8\x01\x00", "gone"),       # half a hello
])
def test_what_is_no_tls_is_told_apart(hub, authority, words, reason):
    with refusal(hub, authority, reason):
        with socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S) as stream:
            stream.sendall(words)
            if reason == "gone":
                stream.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while stream.recv(100):
                    pass


def test_tls_to_a_plain_port_ends_at_once(hub, authority):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect(authority, hub.ports[2])
    with socket.create_connection(("127.0.0.1", hub.ports[2]), timeout=PATIENCE_S) as plain:
        assert is_answered(plain)


def test_cuts_and_mangled_records_are_counted(hub, authority):
    """Without a good-bye; with a record that nobody has signed; in the middle of a record."""
    for harm in (lambda plain, stream: None,
                 lambda plain, stream: plain.send(b"\x17\x03\x03\x00\x20" + bytes(32)),
                 lambda plain, stream: plain.send(b"\x17\x03\x03\x00\x20" + bytes(7))):
        before = metric(hub, "millrace_net_tls_broken_total")
        stream = connect(authority, hub.ports[0])
        assert is_answered(stream)
        with socket.socket(fileno=os.dup(stream.fileno())) as plain:
            harm(plain, stream)
            os.close(stream.detach())
        wait_until(lambda last=before: metric(hub, "millrace_net_tls_broken_total") == last + 1,
                   what="one more broken connection")
    before = metric(hub, "millrace_net_tls_broken_total")
    with connect(authority, hub.ports[0]) as stream:  # and one that ends as it should
        assert is_answered(stream)
        stream.unwrap()
    assert metric(hub, "millrace_net_tls_broken_total") == before


@pytest.mark.parametrize("name,words", [("old", "certificate has expired"),
                                        ("early", "certificate is not yet valid"),
                                        ("self", "self-signed certificate"),
                                        ("lost", "certificate revoked")])
def test_the_command_line_refuses_servers(authority, tmp_path, name, words):
    made = Node(tmp_path, {"listen": [{"address": f"127.0.0.1:{free_port()}",
                                       "tls": authority.tls(name)}]})
    client = tmp_path / "client.yaml"
    client.write_text(f"tls: {{ca: {authority.path('ca.pem')}, crl: {authority.path('crl.pem')}}}\n")
    try:
        made.start()
        done = run("topics", "--node", f"localhost:{made.ports[0]}", "--client", client)
        assert done.returncode == 1, done.stderr
        assert words in done.stderr.replace("self signed", "self-signed"), done.stderr
    finally:
        assert made.finish() is None


# ---- crowds ----


def attack(port, count, words=b"", source="127.0.0.2"):
    """Connections that say so much and no more."""
    made = []
    for _ in range(count):
        stream = socket.socket()
        stream.settimeout(PATIENCE_S)
        stream.bind((source, 0))
        stream.connect(("127.0.0.1", port))
        if words:
            with contextlib.suppress(OSError):
                stream.sendall(words)
        made.append(stream)
    return made


def count_open(streams):
    """How many the node has not closed."""
    still = 0
    for stream in streams:
        stream.setblocking(False)
        try:
            still += stream.recv(1) != b""
        except BlockingIOError:
            still += 1
        except OSError:
            pass
    return still


@pytest.mark.parametrize("words", [b"", b"\x16\x03\x01\x00\xc8\x01"])
def test_half_open_handshakes_are_bounded_and_lock_nobody_out(hub, authority, words):
    """Three hundred that are silent, or begin and stop, from one address: a hundred of them stay;
    meanwhile clients from there and from elsewhere get in."""
    before = reasons(hub)
    crowd = attack(hub.ports[0], 300, words)
    try:
        wait_until(lambda: count_open(crowd) <= 100, what="the crowd to shrink")
        wait_until(lambda: reasons(hub)["crowded"] >= before["crowded"] + 200, what="the count")
        for _ in range(5):
            with connect(authority, hub.ports[0]) as new:  # of another address: at once
                assert is_answered(new)

        def same_address():
            with contextlib.suppress(OSError):
                plain = socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S,
                                                 source_address=("127.0.0.2", 0))
                with context_of(authority).wrap_socket(plain, server_hostname="localhost") as new:
                    return is_answered(new)
            return False

        wait_until(same_address, what="a client of the same address")
        assert count_open(crowd) <= 100
    finally:
        for stream in crowd:
            stream.close()


def test_slow_talkers_are_ended(authority, tmp_path):
    """A byte at a time: in a handshake, in the head of a request, in the admin socket's HTTP. Honest
    clients are answered all the while, and the slow ones are ended by time, however long they go on."""
    hub = start_hub(authority, tmp_path, idle="5s")
    hello = socket.create_connection(("127.0.0.1", hub.ports[0]), timeout=PATIENCE_S)
    request = socket.create_connection(("127.0.0.1", hub.ports[2]), timeout=PATIENCE_S)
    secret = connect(authority, hub.ports[0])
    slow = {hello: b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + bytes(200),
            request: struct.pack(">ihhih", 4000, 18, 0, 1, -1) + bytes(4000),
            secret: struct.pack(">ihhih", 4000, 18, 0, 1, -1) + bytes(4000)}
    started = time.monotonic()
    sent = 0
    while slow and time.monotonic() - started < PATIENCE_S:
        for stream, words in list(slow.items()):
            try:
                stream.setblocking(True)
                stream.sendall(words[sent:sent + 1])
                stream.setblocking(False)
                if stream.recv(10) == b"":
                    raise ConnectionResetError
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            except OSError:
                stream.close()
                del slow[stream]
        sent += 1
        with connect(authority, hub.ports[0]) as new:
            assert is_answered(new)
        time.sleep(0.1)
    assert not slow
    hub.stop()
    assert hub.finish() is None
