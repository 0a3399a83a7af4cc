"""Attack: the victim's nonce is used up before the victim's own call arrives, which is then refused as a replay."""

from __future__ import annotations

import pytest
from wire import Node, signed

BODY = b"pay 100 to alice"


def test_a_forged_head_claims_nothing(node: Node) -> None:
    call = signed()
    for forged in (call.bytes().replace(b"GET", b"PUT"), call.but("Signature", "sig1=:AAAA:").bytes()):
        assert node.wire().send(forged).refused("signature-invalid")
    assert node.replay.status()["claims"] == 0
    assert node.wire().send(call.bytes()).passed()


@pytest.mark.parametrize("body", [b"pay 900 to alice", b"x" * len(BODY)])
def test_a_copied_head_with_a_bad_body_gives_the_nonce_back(node: Node, body: bytes) -> None:
    call = signed("POST", body=BODY).bytes()
    for _ in range(3):
        assert node.wire().send(call.replace(BODY, body)).refused("digest-mismatch")
    assert node.wire().send(call).passed()
    assert node.wire().send(call).refused("replayed")


def test_a_copied_head_whose_body_never_comes_gives_the_nonce_back(node: Node) -> None:
    call = signed("POST", body=BODY).bytes()
    assert node.wire().send(call[:-3]).eof().reasons == ["malformed"]
    node.wire().send(call[:-3]).lose()
    assert node.wire().send(call).passed()


def test_while_the_copy_is_held_the_victim_is_refused_and_may_come_again(node: Node) -> None:
    call = signed("POST", body=BODY).bytes()
    held = node.wire().send(call[:-3])
    assert node.wire().send(call).refused("replayed"), "one of the two, never both"
    held.lose()
    assert node.wire().send(call).passed()


def test_a_copied_head_with_a_broken_body_gives_the_nonce_back(node: Node) -> None:
    call = signed("POST", body=BODY)
    head = call.but("Content-Length").plus(("Transfer-Encoding", "chunked"))
    head.body = b"zz\r\n"
    assert node.wire().send(head.bytes()).refused("malformed")
    assert node.wire().send(call.bytes()).passed()


def test_a_malformed_copy_claims_nothing(node: Node) -> None:
    call = signed()
    assert node.wire().send(call.plus(("Host", "orders.internal")).bytes()).refused("malformed")
    assert node.wire().send(call.but("Host", "orders.internal", "x").bytes()).refused("malformed")
    assert node.wire().send(call.bytes()).passed()
