"""Every attack starts at a fresh node: its gates, its keys, its replay filter."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from wire import Node, Wire

# Some attacks are made on whole processes, which the end-to-end tests know how to start.
sys.path.append(str(Path(__file__).parent.parent / "e2e"))


@pytest.fixture
def node() -> Node:
    """A node whose listener wants signed calls."""
    return Node()


@pytest.fixture
def wire(node: Node) -> Wire:
    """A connection to it."""
    return node.wire()


@pytest.fixture
def relay() -> Wire:
    """A connection to a node that verifies nothing: what is refused here is refused by HTTP's rules alone."""
    return Node.open().wire()
