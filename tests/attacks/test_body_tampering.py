"""Attack: the head is as it was signed, the body is not."""

from __future__ import annotations

import base64
import hashlib

import pytest
from wire import Node, Wire, signed, signed_by_hand

BODY = b"pay 100 to alice"
LARGE = {"max_held_body_bytes": 8}


def digest(algorithm: str, body: bytes) -> str:
    value = base64.b64encode(hashlib.new(algorithm.replace("-", ""), body).digest()).decode()
    return f"{algorithm}=:{value}:"


def chunked(body: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in (body[:4], body[4:]) if p) + b"0\r\n\r\n"


def chunked_call(body: bytes = BODY) -> bytes:
    head, _ = signed("POST", body=BODY).but("Content-Length").bytes().split(b"\r\n\r\n", 1)
    return head + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(body)


def test_bodies_of_both_framings_pass(wire: Wire) -> None:
    wire.send(signed("POST", body=BODY).bytes()).respond()
    wire.send(chunked_call())
    assert len(wire.upstream) == 2 and not wire.reasons
    assert wire.upstream[0].endswith(b"\r\n\r\n" + BODY) and wire.upstream[1].endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize("body", [b"pay 900 to alice", b"pay 100 to mallo"])
def test_a_changed_body_is_refused(wire: Wire, body: bytes) -> None:
    assert wire.send(signed("POST", body=BODY).bytes().replace(BODY, body)).refused("digest-mismatch"), wire
    assert wire.closed


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b"!"])
def test_a_body_of_another_length_is_refused(node: Node, body: bytes) -> None:
    call = signed("POST", body=BODY)
    call.body = body
    length = () if not body else (str(len(body)),)
    for lines in {length, (str(len(body)),)}:
        wire = node.wire().send(call.but("Content-Length", *lines).bytes())
        assert wire.refused("digest-mismatch"), wire
    assert node.wire().send(chunked_call(body)).refused("digest-mismatch")


def test_a_body_added_to_a_call_that_has_none_is_refused(wire: Wire) -> None:
    call = signed("POST").plus(("Content-Length", "4"))
    call.body = b"evil"
    assert wire.send(call.bytes()).refused("coverage-insufficient"), wire


def test_an_uncovered_digest_is_no_digest(wire: Wire) -> None:
    call = signed("POST").plus(("Content-Length", "4"), ("Content-Digest", digest("sha-256", b"evil")))
    call.body = b"evil"
    assert wire.send(call.bytes()).refused("coverage-insufficient"), wire


@pytest.mark.parametrize("value", ["", digest("sha-256", b"evil"), digest("md5", BODY)])
def test_a_changed_digest_breaks_the_signature(wire: Wire, value: str) -> None:
    call = signed("POST", body=BODY)
    assert wire.send(call.but("Content-Digest", value).bytes()).refused("signature-invalid"), wire


@pytest.mark.parametrize(
    "value",
    [
        digest("md5", BODY),
        "sha-256=:AAAA:",
        "sha-256=(a)",
        f"{digest('sha-256', BODY)}, {digest('sha-256', b'x')}",
        "unixsum=1",
    ],
)
def test_a_signed_digest_that_proves_nothing_is_refused(node: Node, value: str) -> None:
    call = signed_by_hand([("Content-Digest", value)])
    wire = node.wire().send(call.plus(("Content-Length", str(len(BODY)))).bytes() + BODY)
    assert wire.refused("digest-unsupported"), wire


def test_every_known_digest_must_match(node: Node) -> None:
    good, bad = digest("sha-256", BODY), digest("sha-512", b"x")
    for value, passes in ((good, True), (f"{good}, {digest('sha-512', BODY)}", True), (f"{good}, {bad}", False)):
        call = signed_by_hand([("Content-Digest", value)])
        wire = node.wire().send(call.plus(("Content-Length", str(len(BODY)))).bytes() + BODY)
        assert wire.passed() is passes, wire


def test_a_truncated_body_is_never_forwarded(node: Node) -> None:
    whole = signed("POST", body=BODY).bytes()
    wire = node.wire().send(whole[:-1]).eof()
    assert wire.reasons == ["malformed"] and not wire.upstream
    wire = node.wire().send(signed("POST", body=BODY).bytes()[:-1]).lose()
    assert not wire.upstream and not wire.caller


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_no_upstream_gets_a_complete_request_whose_digest_failed(framing: str) -> None:
    call = signed("POST", body=BODY).bytes() if framing == "length" else chunked_call()
    wire = Node(limits=LARGE).wire()
    for byte in call.replace(b"ali", b"bob"):
        wire.send(bytes([byte]))
    assert wire.reasons == ["digest-mismatch"] and wire.aborted and wire.closed
    content = wire.upstream[0].split(b"\r\n\r\n", 1)[1]
    if framing == "length":
        assert len(content) < len(BODY)
    else:
        assert content and not content.endswith(b"0\r\n\r\n")
