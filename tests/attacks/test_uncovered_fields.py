"""Attack: a signed call is left as it is, and given fields that no signature covers but that change what it means."""

from __future__ import annotations

import pytest
from wire import Node, Wire, signed, upstream_fields

OVERRIDES = [
    "X-HTTP-Method-Override",
    "X-HTTP-Method",
    "X-Method-Override",
    "X-Original-URL",
    "X-Original-Host",
    "X-Original-Method",
    "X-Rewrite-URL",
]


@pytest.mark.parametrize("name", OVERRIDES)
def test_a_field_that_overrides_what_was_judged_is_dropped(wire: Wire, name: str) -> None:
    assert wire.send(signed().plus((name, "DELETE")).bytes()).passed()
    assert name.lower() not in dict(upstream_fields(wire))


@pytest.mark.parametrize("name", OVERRIDES)
def test_one_that_the_caller_signed_is_his_own(wire: Wire, name: str) -> None:
    assert wire.send(signed(fields=[(name, "PATCH")], cover=[name.lower()]).bytes()).passed()
    assert (name.lower(), "PATCH") in upstream_fields(wire)


@pytest.mark.parametrize("separator", ["_", ".", "!", "~", "+"])
@pytest.mark.parametrize("name", [*OVERRIDES, "Content-Length", "Transfer-Encoding", "X-Forwarded-For"])
def test_what_cgi_cannot_tell_from_them_is_dropped_too(wire: Wire, name: str, separator: str) -> None:
    spelled = name.replace("-", separator)
    assert wire.send(signed(fields=[(spelled, "1")], cover=[spelled.lower()]).bytes()).passed()
    assert spelled.lower() not in dict(upstream_fields(wire))


def test_a_field_with_an_underscore_is_dropped(wire: Wire) -> None:
    assert wire.send(signed().plus(("User_Role", "admin")).bytes()).passed()
    assert "user_role" not in dict(upstream_fields(wire))


@pytest.mark.parametrize(
    "hidden",
    [
        "Signature",
        "Signature-Input",
        "Host",
        "Content-Length",
        "Content-Digest",
        "Transfer-Encoding",
        "Authorization",
        "X-Pyproxy-Principal",
        "X-Forwarded-For",
        "Via",
        "Cookie",
        "Content-Type",
        "X-Request-Id",
    ],
)
def test_connection_cannot_hide_what_a_gate_relies_on(wire: Wire, hidden: str) -> None:
    assert wire.send(signed().plus(("Connection", f"close, {hidden}")).bytes()).refused("malformed"), wire


def test_connection_cannot_hide_what_the_caller_signed(wire: Wire) -> None:
    call = signed(fields=[("X-Role", "reader"), ("X-Note", "n")], cover=["x-role"])
    assert wire.send(call.plus(("Connection", "x-role, x-note")).bytes()).passed()
    fields = dict(upstream_fields(wire))
    assert fields["x-role"] == "reader"
    assert "x-note" not in fields and "connection" not in fields


def test_fields_that_must_be_covered_if_present_cannot_be_added() -> None:
    node = Node(signature={"require_if_present": ["x-role", "content-type"]})
    assert node.wire().send(signed().bytes()).passed()
    assert node.wire().send(signed().plus(("X-Role", "admin")).bytes()).refused("coverage-insufficient")
    assert node.wire().send(signed(fields=[("X-Role", "admin")], cover=["x-role"]).bytes()).passed()
    partly = signed(fields=[("X-Role", "a=1")], cover=['x-role;key="a"'])
    assert node.wire().send(partly.bytes()).refused("coverage-insufficient"), "one member is not the whole field"


def test_with_strip_nothing_uncovered_arrives() -> None:
    wire = Node(signature={"uncovered": "strip"}).wire()
    call = signed("POST", body=b"payload", fields=[("X-Mine", "1")], cover=["x-mine"])
    added = [("X-Role", "admin"), ("Cookie", "a=b"), ("Content-Type", "text/html"), ("Authorization", "Basic eA==")]
    assert wire.send(call.plus(*added).bytes()).passed(), wire
    names = {name for name, _ in upstream_fields(wire)}
    assert "x-mine" in names and "content-digest" in names
    assert not names & {name.lower() for name, _ in added}


@pytest.mark.parametrize("line", ["GET http://orders.internal/v1/x?a=b", "GET HTTP://orders.internal/v1/x?a=b"])
def test_an_absolute_target_is_no_way_around_the_host(wire: Wire, line: str) -> None:
    call = signed().bytes()
    assert wire.send(call.replace(b"GET /v1/x?a=b", line.encode())).passed()
    elsewhere = signed().bytes().replace(b"GET /v1/x?a=b", b"GET http://admin.internal/v1/x?a=b")
    assert wire.respond().send(elsewhere).reasons == ["malformed"]
