"""Attack: everything that has a size, too large: each limit of `native/core/src/limits.rs` holds; memory does too."""

from __future__ import annotations

import pytest
from wire import Node, Wire, settings, signed

GET = b"GET /v1/x HTTP/1.1\r\nHost: orders.internal\r\n"
POST = GET.replace(b"GET", b"POST")


def test_a_head_is_at_most_32_kib(relay: Wire) -> None:
    pad = 32 * 1024 - len(GET) - len(b"X: \r\n\r\n")
    assert relay.send(GET + b"X: " + b"a" * pad + b"\r\n\r\n").passed()
    relay.respond().send(GET + b"X: " + b"a" * (pad + 1) + b"\r\n\r\n")
    assert relay.reasons == ["head-too-large"] and relay.closed and len(relay.upstream) == 1


def test_an_endless_head_is_refused_before_it_ends(relay: Wire) -> None:
    relay.send(GET)
    for _ in range(40):
        relay.send(b"X: " + b"a" * 1000 + b"\r\n")
    assert relay.refused("head-too-large") and relay.closed


def test_an_endless_line_is_refused_before_it_ends(relay: Wire) -> None:
    for _ in range(40):
        relay.send(b"A" * 1000)
    assert len(relay.reasons) == 1 and relay.closed and not relay.upstream


def test_fields_are_at_most_100(relay: Wire) -> None:
    assert relay.send(GET + b"X: 1\r\n" * 99 + b"\r\n").passed()
    relay.respond().send(GET + b"X: 1\r\n" * 100 + b"\r\n")
    assert relay.reasons == ["head-too-large"] and relay.closed


def test_a_target_is_at_most_8_kib(relay: Wire) -> None:
    longest = b"/v1/" + b"a" * (8 * 1024 - 4)
    assert relay.send(GET.replace(b"/v1/x", longest) + b"\r\n").passed()
    assert relay.respond().send(GET.replace(b"/v1/x", longest + b"a") + b"\r\n").reasons == ["target-too-long"]
    assert b"HTTP/1.1 414 " in relay.caller


def test_a_body_is_at_most_1_gib_announced() -> None:
    assert Node.open().wire().send(POST + b"Content-Length: %d\r\n\r\n" % (1 << 30)).passed()
    assert Node.open().wire().send(POST + b"Content-Length: %d\r\n\r\n" % ((1 << 30) + 1)).refused("body-too-large")


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 11\r\n\r\nhello world", b"Transfer-Encoding: chunked\r\n\r\nb\r\n"]
)
def test_a_body_is_at_most_what_config_says(framing: bytes) -> None:
    wire = Node.open(limits={"max_body_bytes": 10}).wire().send(POST + framing)
    assert wire.refused("body-too-large") and wire.closed
    assert b"HTTP/1.1 413 " in wire.caller


def test_many_small_chunks_are_counted_together() -> None:
    wire = Node.open(limits={"max_body_bytes": 10}).wire().send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(20):
        wire.send(b"1\r\nx\r\n")
    assert wire.reasons == ["body-too-large"] and wire.aborted and not wire.upstream[0].endswith(b"0\r\n\r\n")


def test_trailers_are_bounded(relay: Wire) -> None:
    relay.send(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    for _ in range(40):
        relay.send(b"X: " + b"a" * 1000 + b"\r\n")
    assert relay.reasons == ["malformed"] and relay.aborted


def test_a_body_that_is_held_is_at_most_1_mib() -> None:
    node = Node()
    held = node.wire().send(signed("POST", body=b"x" * (1 << 20)).bytes()[:-1])
    assert not held.upstream and node.gate.held_bytes == 1 << 20
    streamed = node.wire().send(signed("POST", body=b"x" * ((1 << 20) + 1)).bytes()[:-1])
    assert streamed.upstream and node.gate.held_bytes == 1 << 20
    held.lose()
    assert node.gate.held_bytes == 0


def test_all_bodies_that_a_worker_holds_are_at_most_64_mib() -> None:
    node = Node()
    heads = (signed("POST", body=b"x" * (1 << 20)).bytes()[: -(1 << 20)] for _ in range(70))
    wires = [node.wire().send(head) for head in heads]
    assert node.gate.held_bytes == 64 << 20
    assert sum(bool(wire.upstream) for wire in wires) == 6, "what does not fit streams, its end withheld"
    for wire in wires:
        wire.lose()
    assert node.gate.held_bytes == 0


def test_a_chunked_body_is_charged_for_what_it_may_become() -> None:
    node = Node(limits={"max_held_body_bytes": 1000, "max_held_worker_bytes": 1500})
    call = signed("POST", body=b"x").but("Content-Length").plus(("Transfer-Encoding", "chunked")).bytes()[:-1]
    first = node.wire().send(call)
    assert node.gate.held_bytes == 1000 and not first.upstream
    first.lose()
    assert node.gate.held_bytes == 0


def test_what_is_pipelined_is_not_read_while_a_call_is_under_way(relay: Wire) -> None:
    relay.send(GET + b"\r\n")
    assert not relay.paused
    relay.send(GET + b"\r\n")
    assert relay.paused and len(relay.upstream) == 1
    relay.respond()
    assert not relay.paused and len(relay.upstream) == 2


def test_what_follows_a_refusal_is_discarded_up_to_a_bound(relay: Wire) -> None:
    relay.send(b"nonsense\r\n\r\n")
    for _ in range(16):
        relay.send(b"x" * (1 << 20))
    assert not relay.reset
    assert relay.send(b"x").reset


@pytest.mark.parametrize("name", ["Signature-Input", "Signature"])
def test_a_signature_field_as_large_as_a_head_is_judged_in_good_time(wire: Wire, name: str) -> None:
    call = signed()
    for value in ('s=("' + "a" * 30_000 + '")', "s=(" + '"a" ' * 7000 + ")", "a, " * 9000 + "a", "s" + ";a" * 12_000):
        wire.send(call.but(name, value).bytes())
    assert wire.reasons and not wire.upstream and not any(reason.startswith("up") for reason in wire.reasons)


def test_more_components_or_parameters_than_any_call_needs_are_refused(wire: Wire) -> None:
    call = signed()
    given = call.get("Signature-Input")
    many = " ".join(f'"x-{number}"' for number in range(130))
    wire.send(call.but("Signature-Input", given.replace('"@method"', f'"@method" {many}')).bytes())
    wire.send(call.but("Signature-Input", given + "".join(f";p{number}" for number in range(20))).bytes())
    digests = ", ".join(f"d{number}=:AA==:" for number in range(17))
    assert wire.reasons == ["signature-malformed"] * 2 and digests


def test_the_limits_that_are_tested_here_are_the_defaults() -> None:
    assert "limits" not in settings()
