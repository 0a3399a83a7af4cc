"""Attack: a call is begun under one configuration and ended under another, to end up where neither would send it."""

from __future__ import annotations

from typing import Any

import pytest
from wire import OK, Node, settings, signed

BODY = b"pay 100 to alice"


def moved() -> dict[str, Any]:
    """The same routes, the upstreams in another order."""
    routes = [route | {"upstream": 1 - route["upstream"]} for route in settings()["routes"]]
    return {"upstreams": list(reversed(settings()["upstreams"])), "routes": routes}


def test_a_held_call_goes_to_the_upstream_that_was_judged(node: Node) -> None:
    call = signed("POST", body=BODY).bytes()
    wire = node.wire().send(call[:-1])
    node.reload(**moved())
    wire.send(call[-1:])
    assert wire.passed() and wire.indices == [1], "`orders` stands there now"


def test_a_held_call_whose_upstream_is_gone_goes_nowhere(node: Node) -> None:
    call = signed("POST", body=BODY).bytes()
    wire = node.wire().send(call[:-1])
    route = settings()["routes"][1] | {"upstream": 0}
    node.reload(upstreams=[{"name": "admin"}], routes=[route])
    assert wire.send(call[-1:]).refused("upstream-unreachable")
    node.reload()
    assert node.wire().send(call).passed(), "nothing was written, so the nonce went back"


def test_the_next_call_on_a_kept_connection_is_judged_by_what_is_in_force(node: Node) -> None:
    wire = node.wire().send(signed().bytes()).respond(OK)
    node.reload(routes=[])
    assert wire.send(signed().bytes()).reasons == ["no-route"]


def test_a_reload_that_does_not_compile_changes_nothing(node: Node) -> None:
    route = settings()["routes"][0] | {"upstream": 7}
    mistakes: list[dict[str, Any]] = [{"routes": [route]}, {"signature": {"require": ["@nothing"]}}]
    for changes in mistakes:
        with pytest.raises(ValueError, match=r"upstream|require"):
            node.reload(**changes)
    with pytest.raises(ValueError, match="JSON"):
        node.reload(keys=b"{")
    assert node.wire().send(signed().bytes()).passed()


def test_a_reload_cannot_forget_that_nonces_are_to_be_remembered(node: Node) -> None:
    call = signed().bytes()
    node.wire().send(call)
    node.reload(**moved())
    assert node.wire().send(call).refused("replayed")
