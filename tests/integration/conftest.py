"""Fixtures of all integration tests."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import node as node_module  # noqa: E402 (found by the line above)


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
