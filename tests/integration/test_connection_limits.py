"""How many connections an address may have and make: bounds of the configuration, and quotas of addresses."""

import contextlib
import socket
import time

import pytest

import raw_kafka
from node import PATIENCE_S, wait_until
from quotas import set_quota
from raw_kafka import Connection
from security import certificates, metric, server_tls  # noqa: F401 (a fixture)


class Client:
    """One connection from an address of this host's choice."""

    def __init__(self, port, source="127.0.0.1", host="127.0.0.1"):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.bind((source, 0))
        self.socket.connect((host, port))

    def is_served(self):
        """Whether a request is answered, instead of the connection being closed."""
        try:
            self.socket.sendall(b"\0\0\0\x0d" + b"\0\x12\0\0\0\0\0\1\0\3raw")
            return len(self.socket.recv(4)) > 0
        except (BrokenPipeError, ConnectionResetError):
            return False

    def close(self):
        self.socket.close()


@pytest.fixture
def dial():
    with contextlib.ExitStack() as stack:
        yield lambda *arguments, **keywords: stack.enter_context(
            contextlib.closing(Client(*arguments, **keywords)))


def start(node, port, broker, host="127.0.0.1", **listen):
    made = node({"listen": [{"address": f"{host}:{port}", **listen}], "broker": broker}).start()
    # What the start itself has tried is over.
    wait_until(lambda: metric(made, "millrace_broker_connections") == 0, what="no connection")
    return made


def test_so_many_of_one_address(node, free_port, dial):
    port = free_port()
    hub = start(node, port, {"connections_per_address": 3,
                             "connections_per_address_except": ["127.0.0.2=1"]})
    clients = [dial(port) for _ in range(3)]
    assert all(client.is_served() for client in clients)
    assert not dial(port).is_served()
    assert dial(port, "127.0.0.2").is_served()
    assert not dial(port, "127.0.0.2").is_served()
    assert dial(port, "127.0.0.3").is_served()
    assert metric(hub, "millrace_net_refused_address_total") == 2
    for _ in range(5):  # the node's own socket is another matter
        with Connection(str(hub.socket_path)) as control:
            control.call(raw_kafka.API_VERSIONS, 0, b"")
    clients[0].close()
    wait_until(lambda: dial(port).is_served(), what="a place that is given back")


def test_both_families_are_one(node, free_port, dial):
    port = free_port()
    if not socket.has_ipv6:
        pytest.skip("no IPv6")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6")
    start(node, port, {"connections_per_address_except": ["::ffff:127.0.0.1=1", "::1=2"]}, "[::]",
          insecure=True)
    assert dial(port).is_served()
    assert not dial(port).is_served()
    clients = [dial(port, "::1", "::1") for _ in range(2)]
    assert all(client.is_served() for client in clients)
    assert not dial(port, "::1", "::1").is_served()


def test_so_many_a_second_of_one_address(node, free_port, dial):
    """Who makes too many is not closed at once: it would only come again."""
    port = free_port()
    hub = start(node, port, {"quota_window": "1s"})
    with Connection(str(hub.socket_path)) as control:
        set_quota(control, {"ip": "127.0.0.2"}, connection_creation_rate=1)
        began = time.monotonic()
        clients = [dial(port, "127.0.0.2") for _ in range(20)]
        served = [client.is_served() for client in clients]
        took = time.monotonic() - began
        assert served[0] and not all(served)
        assert took >= 0.9  # some waited for their end
        assert sum(served) <= took + 3
        assert metric(hub, "millrace_net_refused_rate_total") == 20 - sum(served)
        assert all(dial(port, "127.0.0.3").is_served() for _ in range(20))
        # Another quota counts at once.
        set_quota(control, {"ip": "127.0.0.2"}, connection_creation_rate=None)
        assert all(dial(port, "127.0.0.2").is_served() for _ in range(20))
        set_quota(control, {"ip": None}, connection_creation_rate=1)
        clients = [dial(port, "127.0.0.4") for _ in range(20)]
        assert not all([client.is_served() for client in clients])


def test_so_many_a_second_of_a_listener(node, free_port, dial):
    """They wait in the backlog, and are all served."""
    port = free_port()
    hub = start(node, port, {}, connection_rate=5)
    began = time.monotonic()
    clients = [dial(port) for _ in range(15)]
    assert all(client.is_served() for client in clients)
    assert time.monotonic() - began >= (15 - 6) / 5 - 0.1
    assert metric(hub, "millrace_net_accept_delays_total") > 0


def test_handshakes_count_from_their_beginning(node, free_port, dial, certificates):  # noqa: F811
    """A connection that never says anything holds a place of its address, before TLS and after."""
    port = free_port()
    start(node, port, {"connections_per_address_except": ["127.0.0.2=2"]}, tls=server_tls(certificates))
    silent = [dial(port, "127.0.0.2") for _ in range(2)]
    assert dial(port, "127.0.0.2").socket.recv(1) == b""
    silent[0].close()

    def is_open():
        client = dial(port, "127.0.0.2")
        client.socket.settimeout(0.2)
        try:
            return client.socket.recv(1) != b""
        except TimeoutError:
            return True
    wait_until(is_open, what="a place that is given back")
