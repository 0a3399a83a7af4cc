"""Attack: a path that the gate reads one way and the upstream another, to reach what another route guards."""

from __future__ import annotations

import pytest
from wire import Node, signed

CONFUSING = [
    "/v1/x/../admin/users",
    "/v1/x/%2e%2e/admin/users",
    "/v1/x/.%2E/admin/users",
    "/v1/x%2f..%2fadmin/users",
    "/v1/%61dmin/users",
    "/v1//admin/users",
    "/v1/x/..;/admin/users",
    "/v1/;/admin/users",
    "/v1/admin;x=y/users",
    "/v1\\admin\\users",
    "/v1/x\\..\\admin/users",
    "/v1%5cadmin/users",
    "/v1/./admin/users",
    "/v1/admin/..",
    "/v1/admin/%2e%2e/x",
    "/v1/..",
    "/v1/../elsewhere",
]
MALFORMED = [
    "/..",
    "/v1/../../etc/passwd",
    "/%2e%2e/v1/x",
    "/v1/%252e%252e/admin",
    "/v1/%255c",
    "/v1/%252Fadmin",
    "/v1/%00",
    "/v1/%ff",
    "/v1/%c0%ae%c0%ae/admin",
    "/v1/%zz",
    "/v1/%",
    "/v1/%u002e",
]


@pytest.mark.parametrize("path", CONFUSING)
def test_readings_that_lead_elsewhere_are_refused(node: Node, path: str) -> None:
    wire = node.wire().send(signed(target=path).bytes())
    assert wire.refused("path-ambiguous"), wire
    assert wire.closed


@pytest.mark.parametrize("path", MALFORMED)
def test_what_no_two_would_read_alike_is_refused(node: Node, path: str) -> None:
    assert node.wire().send(signed(target=path).bytes()).refused("malformed")


@pytest.mark.parametrize("path", ["/v1/x%20y", "/v1/a;v=1/b", "/v1/a//b", "/v1/a/./b", "/v1/%C3%A9", "/v1/a%2Fb"])
def test_readings_that_agree_pass_and_are_forwarded_as_they_came(node: Node, path: str) -> None:
    wire = node.wire().send(signed(target=path).bytes())
    assert wire.passed() and wire.upstream[0].startswith(b"GET %b HTTP/1.1\r\n" % path.encode()), wire
    assert wire.indices == [0]


def test_the_guarded_route_is_reached_by_its_own_name_alone(node: Node) -> None:
    assert node.wire().send(signed(target="/v1/admin/users").bytes()).indices == [1]
    assert node.wire().send(signed(target="/v1/adminx").bytes()).indices == [0]
    assert node.wire().send(signed(target="/v1/x?p=/v1/admin/../..").bytes()).indices == [0], "a query is no path"


def test_whether_a_route_exists_is_told_to_callers_alone(node: Node) -> None:
    for path in ("/v1/x", "/nowhere", "/v1/x/../admin", "/%zz"):
        unsigned = f"GET {path} HTTP/1.1\r\nHost: orders.internal\r\n\r\n".encode()
        assert node.wire().send(unsigned).refused("signature-missing"), path
