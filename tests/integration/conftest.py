"""Fixtures of all integration tests."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import node as node_module  # noqa: E402 (found by the line above)

try:
    import kafka
except ImportError:
    kafka = None


def _be_patient(*classes):
    """kafka-python finds out what a broker speaks within two seconds, or fails: too short for a slow machine."""
    for each in classes:
        each.DEFAULT_CONFIG.update(api_version_auto_timeout_ms=node_module.PATIENCE_S * 1000)
        if each.DEFAULT_CONFIG["request_timeout_ms"] < node_module.PATIENCE_S * 1000:
            each.DEFAULT_CONFIG["request_timeout_ms"] = node_module.PATIENCE_S * 1000
        if "max_block_ms" in each.DEFAULT_CONFIG:
            each.DEFAULT_CONFIG["max_block_ms"] = node_module.PATIENCE_S * 1000


if kafka is not None:
    _be_patient(kafka.KafkaProducer, kafka.KafkaConsumer, kafka.KafkaAdminClient)


TEST_TIMEOUT_S = 900  # of one test, which takes a tenth of it at most; ctest's own is that of a file


@pytest.fixture(autouse=True)
def ends():
    """A test that hangs fails with the place where it did, and its nodes end with it."""
    def on_alarm(*_):
        raise AssertionError(f"the test has not ended after {TEST_TIMEOUT_S} s")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.alarm(TEST_TIMEOUT_S)
    yield
    signal.alarm(0)


@pytest.fixture
def free_port():
    """A function that returns a free port."""
    return node_module.free_port


@pytest.fixture
def node(tmp_path):
    """A function that makes a Node: node(config, name). All are ended with the test, and one that died
    by itself, or that a sanitizer caught, fails it."""
    nodes = []

    def make(config, name="node"):
        made = node_module.Node(tmp_path, config, name)
        nodes.append(made)
        return made

    yield make
    complaints = [complaint for made in nodes if (complaint := made.finish())]
    assert not complaints, "\n\n".join(complaints)
