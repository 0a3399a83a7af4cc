"""Attack: a call that was made is made again, by anyone who saw its bytes."""

from __future__ import annotations

import pytest
from wire import SHOP_KEY, TILL_KEY, Call, Node, Wire, now, replay_filter, signed

from pyproxy._native import ReplayFilter


def other_label(call: Call) -> Call:
    for name in ("Signature-Input", "Signature"):
        call = call.but(name, call.get(name).replace("sig1=", "other="))
    return call


def test_the_same_bytes_on_the_same_connection(wire: Wire) -> None:
    call = signed().bytes()
    wire.send(call).respond().send(call)
    assert wire.reasons == ["replayed"] and len(wire.upstream) == 1


def test_the_same_bytes_on_another_connection(node: Node) -> None:
    call = signed().bytes()
    assert node.wire().send(call).passed()
    assert node.wire().send(call).refused("replayed")


def test_the_same_bytes_while_the_first_is_under_way(node: Node) -> None:
    call = signed().bytes()
    first, second = node.wire().send(call), node.wire().send(call)
    assert first.passed() and second.refused("replayed")


def test_the_same_bytes_at_another_worker() -> None:
    shared = replay_filter()
    call = signed().bytes()
    workers = [Node(replay=shared).wire().send(call) for _ in range(4)]
    assert [worker.passed() for worker in workers] == [True, False, False, False]


def test_pipelined_duplicates(wire: Wire) -> None:
    call = signed().bytes()
    wire.send(call * 5)
    assert wire.paused and len(wire.upstream) == 1, "the next is not read before this one is answered"
    wire.respond()
    assert wire.reasons == ["replayed"] * 4 and len(wire.upstream) == 1


def test_under_another_label(node: Node) -> None:
    call = signed()
    assert node.wire().send(call.bytes()).passed()
    assert node.wire().send(other_label(call).bytes()).refused("replayed")


def test_spelled_otherwise(node: Node) -> None:
    call = signed()
    assert node.wire().send(call.bytes()).passed()
    given = call.get("Signature-Input")
    spellings = [
        call.but("Signature-Input", given.replace(";created=", ";  created=")),
        call.but("signature-input", given),
        call.but("Host", "ORDERS.internal:80"),
        call.plus(("X-More", "1")),
        call.plus(("Connection", "close")),
    ]
    for spelled in spellings:
        assert node.wire().send(spelled.bytes()).refused("replayed"), spelled


def test_as_another_version_of_http(node: Node) -> None:
    call = signed().bytes()
    assert node.wire().send(call).passed()
    assert node.wire().send(call.replace(b"HTTP/1.1", b"HTTP/1.0")).refused("replayed")


def test_after_the_call_was_denied(node: Node) -> None:
    call = signed(target="/nowhere").bytes()
    assert node.wire().send(call).refused("no-route")
    assert node.wire().send(call).refused("replayed")


def test_after_the_upstream_failed_a_call_that_was_written(node: Node) -> None:
    call = signed("POST").bytes()
    assert node.wire().send(call).fail(4, written=True).reasons == ["upstream-closed"]
    assert node.wire().send(call).refused("replayed")


def test_an_honest_retry_after_we_failed_is_no_replay(node: Node) -> None:
    call = signed("POST").bytes()
    for failure in (0, 1, 2, 3):
        assert node.wire().send(call).fail(failure).reasons[0] in {
            "upstream-unreachable",
            "upstream-timeout",
            "overloaded",
        }
    assert node.wire().send(call).passed()


def test_after_a_reload(node: Node) -> None:
    call = signed().bytes()
    assert node.wire().send(call).passed()
    node.reload()
    assert node.wire().send(call).refused("replayed")


def test_after_a_restart_that_lost_the_filter() -> None:
    call = signed().bytes()
    assert Node().wire().send(call).passed()
    fresh = ReplayFilter.in_memory(capacity=100, max_age_s=30, clock_skew_s=5, tag_key=bytes(32))
    wire = Node(replay=fresh).wire().send(call)
    assert wire.refused("replay-fenced"), wire
    assert b"\r\nRetry-After: 6\r\n" in wire.caller


def test_two_keys_with_one_nonce_are_two_calls(node: Node) -> None:
    for key in (SHOP_KEY, TILL_KEY):
        assert node.wire().send(signed(key=key, nonce_="one-nonce-of-two-keys").bytes()).passed()


@pytest.mark.parametrize(
    ("created", "expires", "reason"),
    [
        (-36, None, "signature-expired"),
        (-3600, None, "signature-expired"),
        (8, None, "signature-future"),
        (3600, None, "signature-future"),
        (-20, -6, "signature-expired"),
        (-36, 3600, "signature-expired"),
        (0, 0, "signature-expired"),
        (0, -1, "signature-expired"),
    ],
)
def test_outside_its_window(node: Node, created: int, expires: int | None, reason: str) -> None:
    moment = now()
    call = signed(created=moment + created, expires=None if expires is None else moment + expires)
    assert node.wire().send(call.bytes()).refused(reason)


@pytest.mark.parametrize("created", [-33, -1, 0, 4])
def test_inside_its_window_it_passes_once(node: Node, created: int) -> None:
    call = signed(created=now() + created).bytes()
    assert node.wire().send(call).passed()
    assert node.wire().send(call).refused("replayed")


@pytest.mark.parametrize("value", ["-1", "999999999999999", "1.5", '"1"', "?1", "1e9"])
def test_a_created_that_is_no_time(wire: Wire, value: str) -> None:
    call = signed()
    created = next(part for part in call.get("Signature-Input").split(";") if part.startswith("created"))
    changed = call.get("Signature-Input").replace(created, f"created={value}")
    wire.send(call.but("Signature-Input", changed).bytes())
    assert wire.reasons[0] in {"signature-parameters", "signature-malformed", "signature-future"}
    assert not wire.upstream


@pytest.mark.parametrize("nonce", ["short", "x" * 15, "x" * 257])
def test_a_nonce_that_could_be_guessed_or_is_too_long(wire: Wire, nonce: str) -> None:
    call = signed(nonce_="x" * 16)
    changed = call.get("Signature-Input").replace("x" * 16, nonce)
    assert wire.send(call.but("Signature-Input", changed).bytes()).refused("signature-parameters"), wire
