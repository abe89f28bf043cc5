"""What the tests of security share: certificates, a node that asks who its clients are, options of foreign
clients."""

import re
import socket
import subprocess

import pytest

import raw_kafka
from raw_kafka import Connection

MECHANISMS = ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"]
PASSWORD = "correct horse, battery=staple"


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """A small authority, a server's pair and a client's."""
    where = tmp_path_factory.mktemp("certificates")
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
            "2", "-subj", "/CN=test authority", "-keyout", where / "ca.key", "-out", where / "ca.pem")
    for name, subject, names in (("server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1"),
                                 ("client", "/O=x/CN=Edge-1", "DNS:edge-1")):
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                subject, "-keyout", where / f"{name}.key", "-out", where / f"{name}.csr")
        (where / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        openssl("x509", "-req", "-in", where / f"{name}.csr", "-CA", where / "ca.pem", "-CAkey",
                where / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", where / f"{name}.ext",
                "-out", where / f"{name}.pem")
    return where


def server_tls(certificates, **more):
    return {"cert": str(certificates / "server.pem"), "key": str(certificates / "server.key"),
            "ca": str(certificates / "ca.pem"), **more}


@pytest.fixture
def secure(node, free_port, certificates):
    """A node with a plain and a TLS listener, both with SASL, and users that are made through its own
    socket. secure(**changes of the first listener)."""

    def make(authorization=None, **changes):
        config = {
            "listen": [
                {"address": f"127.0.0.1:{free_port()}", "sasl": MECHANISMS, "insecure": True,
                 **changes},
                {"address": f"127.0.0.1:{free_port()}", "advertise": "localhost", "sasl": MECHANISMS,
                 "tls": server_tls(certificates)}],
            "authorization": authorization or {"super_users": ["admin"]},
        }
        config["listen"][1]["advertise"] = "localhost:" + config["listen"][1]["address"].split(":")[1]
        made = node(config).start()
        with Connection(str(made.socket_path)) as control:
            for user in ("admin", "alice"):
                assert raw_kafka.set_user(control, user, PASSWORD) == {user: 0}
        return made

    return make


def allow(node, principal, operation, resource, name, **more):
    with Connection(str(node.socket_path)) as control:
        assert raw_kafka.add_acl(control, principal, operation, resource, name, **more) == 0


def raw(node, place=0, source=None):
    return Connection(("127.0.0.1", node.ports[place]), source=source)


def sources():
    """Addresses of this host, each another one."""
    return (f"127.0.{number // 250}.{number % 250 + 2}" for number in range(1, 60000))


def python_options(node, certificates, mechanism, is_tls, user="admin", password=PASSWORD):
    options = {"security_protocol": "SASL_SSL" if is_tls else "SASL_PLAINTEXT",
               "sasl_mechanism": mechanism, "sasl_plain_username": user,
               "sasl_plain_password": password,
               "bootstrap_servers": f"localhost:{node.ports[1 if is_tls else 0]}"}
    if is_tls:
        options["ssl_cafile"] = str(certificates / "ca.pem")
    return options


def rdkafka_options(node, certificates, mechanism, is_tls, user="admin", password=PASSWORD):
    options = {"security.protocol": "SASL_SSL" if is_tls else "SASL_PLAINTEXT",
               "sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password,
               "bootstrap.servers": f"localhost:{node.ports[1 if is_tls else 0]}",
               "broker.address.family": "v4"}
    if is_tls:
        options["ssl.ca.location"] = str(certificates / "ca.pem")
        options["ssl.endpoint.identification.algorithm"] = "https"
    return options


def metric(node, name):
    """A number of the metrics page, by the admin socket: the sum over all labels, or of those that are
    written behind the name as they are on the page."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(node.data / "admin.sock"))
        admin.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        page = b""
        while part := admin.recv(65536):
            page += part
    labels = "" if "{" in name else "(?:{[^}]*})?"
    return sum(int(number) for number in
               re.findall(rf"^{re.escape(name)}{labels} (\d+)", page.decode(), re.M))
