"""Certificates that are replaced while nodes run: seen without a signal, by listeners, sinks and the
admin address; under load without a connection refused; and what cannot be used changes nothing."""

import contextlib
import json
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from authority import Authority
from node import PATIENCE_S, run, wait_until
from security import metric

FAST = {"reload": "100ms"}


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path / "tls")
    made.issue("hub", "localhost", "127.0.0.1")
    return made


def serial(authority, port):
    """Which certificate is shown, after its chain and name were verified."""
    context = ssl.create_default_context(cafile=authority.path("ca.pem"))
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as stream:
        return stream.getpeercert()["serialNumber"]


def https(authority, port, path, *more):
    done = subprocess.run(["curl", "-s", "--max-time", str(PATIENCE_S), "--cacert", authority.path("ca.pem"),
                           *more, f"https://localhost:{port}{path}"], capture_output=True, text=True,
                          check=False)
    return done.returncode, done.stdout


def test_a_new_pair_is_taken_without_a_signal(node, free_port, authority):
    port = free_port()
    made = node({"node": {"tls": FAST}, "listen": [
        {"address": f"127.0.0.1:{port}", "tls": authority.tls("hub")}]}).start()
    before = serial(authority, port)
    assert 824 * 86400 < metric(made, "millrace_tls_certificate_left_seconds") <= 825 * 86400
    authority.issue("hub", "localhost", "127.0.0.1")
    wait_until(lambda: serial(authority, port) != before, what="the new certificate")
    assert metric(made, "millrace_tls_reload_failing") == 0


def replace(path, text):
    """At once: half a file would be another failure."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_what_cannot_be_used_raises_an_alarm_until_it_is_mended(node, free_port, authority, tmp_path):
    port = free_port()
    made = node({"node": {"tls": FAST}, "listen": [
        {"address": f"127.0.0.1:{port}", "tls": authority.tls("hub")}]}).start()
    before = serial(authority, port)
    key = (tmp_path / "tls" / "hub.key")
    good = key.read_text()
    authority.issue("other")
    replace(key, (tmp_path / "tls" / "other.key").read_text())  # a key of another certificate
    wait_until(lambda: metric(made, "millrace_tls_reload_failing") == 1, what="the alarm")
    assert metric(made, "millrace_tls_reload_failures_total") >= 1
    made.wait_for_output("does not belong to the certificate")
    health = run("health", "--data", made.data)
    assert health.returncode == 1 and "does not belong" in health.stdout
    assert serial(authority, port) == before
    assert made.stderr().count("the old ones stay") == 1  # said once, however often it is tried
    replace(key, good)
    wait_until(lambda: metric(made, "millrace_tls_reload_failing") == 0, what="the end of the alarm")
    assert run("health", "--data", made.data).returncode == 0
    assert serial(authority, port) == before


def test_the_end_of_a_certificate_is_announced(node, free_port, authority):
    day = 24 * 3600
    for name, days in (("soon", 3), ("gone", -1)):
        authority.issue_dated(name, "20200101000000Z",
                              time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + days * day)))
    made = node({"listen": [{"address": f"127.0.0.1:{free_port()}", "tls": authority.tls(name)}
                            for name in ("soon", "gone")]}).start()
    made.wait_for_output("a certificate ends soon")
    made.wait_for_output("a certificate has ended")
    health = run("health", "--data", made.data)
    assert health.returncode == 1 and "has ended" in health.stdout


def test_the_admin_address_speaks_https_and_reloads(node, free_port, authority):
    port = free_port()
    authority.issue("scraper", client=True)
    made = node({"node": {"tls": FAST}, "admin": {
        "address": f"127.0.0.1:{port}", "tls": authority.tls("hub", clients="required")}}).start()
    own = ["--cert", authority.path("scraper.pem"), "--key", authority.path("scraper.key")]
    status, page = https(authority, port, "/metrics", *own)
    assert status == 0 and "millrace_net_accepted_total" in page
    assert https(authority, port, "/metrics") != (0, page) and https(authority, port, "/")[0] != 0
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as plain:  # HTTP to the HTTPS port
        plain.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            assert b"HTTP/1.1 200" not in plain.recv(100)
    before = metric(made, "millrace_tls_reloads_total")
    authority.issue("hub", "localhost")
    wait_until(lambda: metric(made, "millrace_tls_reloads_total") > before, what="a reload")
    assert https(authority, port, "/health", *own)[0] == 0


def test_an_admin_address_that_others_reach_needs_tls(tmp_path, authority):
    """Data are for who brings a token, or a certificate where that is asked for."""
    path = tmp_path / "m.yaml"
    for tls, status in ((None, 78), ("none", 0), ("required", 0)):
        admin = {"address": "0.0.0.0:9692"}
        if tls is not None:
            admin["tls"] = authority.tls("hub", clients=tls)
        path.write_text(json.dumps({"node": {"data": str(tmp_path / "d")}, "admin": admin}))
        assert run("check", "-c", path).returncode == status


def test_a_sink_shows_its_new_certificate(node, free_port, authority, tmp_path):
    """The hub takes back the edge's certificate; the edge gets another and goes on, without a restart
    of either."""
    port = free_port()
    log = tmp_path / "web.log"
    log.write_text("one\n")
    authority.issue("edge", client=True)
    authority.issue("nobody", client=True)
    authority.revoke("nobody")
    hub = node({"node": {"tls": FAST},
                "listen": [{"address": f"127.0.0.1:{port}", "advertise": f"localhost:{port}",
                            "tls": authority.tls("hub", clients="required",
                                                 crl=authority.path("crl.pem"))}],
                "authorization": {"super_users": ["CN=edge"]}}, "hub").start()
    edge = node({"node": {"tls": FAST},
                 "sources": {"web": {"type": "file", "paths": [str(log)], "topic": "web"}},
                 "sinks": {"hubs": {"type": "peer", "topics": ["web"], "nodes": [f"localhost:{port}"],
                                    "retry": {"max": "200ms"}, "tls": authority.tls("edge")}}},
                "edge").start()

    def lines():
        return run("consume", "--data", hub.data, "-t", "web", "-o", "beginning", "-e").stdout.split()

    wait_until(lambda: lines() == ["one"], what="the first line")
    authority.revoke("edge")
    wait_until(lambda: metric(hub, "millrace_tls_reloads_total") >= 1, what="the list at the hub")
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S):
        pass
    edge.kill()  # its connection with it: the next one needs a handshake
    edge.start()
    with open(log, "a", encoding="utf-8") as file:
        file.write("two\n")
    wait_until(lambda: "refuses our certificate" in run("sinks", "--data", edge.data, "-o",
                                                        "json").stdout, what="the refusal")
    assert lines() == ["one"]
    assert metric(hub, 'millrace_net_tls_failures_total{reason="certificate"}') >= 1
    authority.issue("edge", client=True)
    wait_until(lambda: lines() == ["one", "two"], what="the second line")
    edge.stop()


def test_no_connection_is_refused_while_certificates_are_swapped(node, free_port, authority):
    """Twenty swapped pairs, with and without a signal, while clients connect all the time."""
    port = free_port()
    made = node({"node": {"tls": FAST}, "listen": [
        {"address": f"127.0.0.1:{port}", "tls": authority.tls("hub")}]}).start()
    stop = threading.Event()
    failures = []
    serials = [set() for _ in range(3)]

    def reconnect(seen):
        while not stop.is_set():
            try:
                seen.add(serial(authority, port))
            except (OSError, ssl.SSLError) as error:
                failures.append(error)

    threads = [threading.Thread(target=reconnect, args=(seen,)) for seen in serials]
    for thread in threads:
        thread.start()
    reloads = 0

    def seen():
        return len(set.union(*serials))

    for number in range(20):
        before = seen()
        authority.issue("hub", "localhost", "127.0.0.1")
        if number % 2 == 0:
            made.signal(signal.SIGHUP)
        reloads = wait_until(lambda last=reloads: max(
            metric(made, "millrace_tls_reloads_total"), last) > last and
            metric(made, "millrace_tls_reloads_total"), what="the reload")
        wait_until(lambda last=before: seen() > last, what="a client that is shown another certificate")
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(set.union(*serials)) >= 10
    assert metric(made, "millrace_tls_reload_failing") == 0
