"""Whose question the admin listener answers."""

from __future__ import annotations

import pytest

from pyproxy.admin import is_local_host


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:9901", "127.8.8.8", "[::1]", "[::1]:80", "localhost", "LOCALHOST:1"]
)
def test_hosts_that_can_only_mean_this_machine(host: str) -> None:
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host",
    ["", "attacker.example", "localhost.attacker.example", "127.0.0.1.attacker.example", "10.0.0.1", "0.0.0.0", "[::]",
     "localhost:", "127.0.0.1:80:80", "user@localhost", "localhost/", "127.1", "2130706433", " localhost"],
)  # fmt: skip
def test_hosts_that_a_name_server_could_point_here(host: str) -> None:
    assert not is_local_host(host)
