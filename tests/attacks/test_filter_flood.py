"""Attack: one caller makes so many calls that the replay filter has no room for the others."""

from __future__ import annotations

from wire import SHOP_KEY, TILL_KEY, Node, jwks, now, private_jwk, replay_filter, signed


def test_one_key_is_refused_alone_when_its_half_is_full() -> None:
    node = Node(replay=replay_filter(capacity=60))
    wire = node.wire()
    moment = now()
    passed = 0
    for _ in range(60):
        passed += not wire.send(signed(created=moment).bytes()).respond().reasons
    assert passed == 30 and set(wire.reasons) == {"key-quota"}
    assert b"HTTP/1.1 429 Too Many Requests\r\n" in wire.caller and b"\r\nRetry-After: " in wire.caller
    honest = node.wire()
    for _ in range(10):
        honest.send(signed(key=TILL_KEY, created=moment).bytes()).respond()
    assert not honest.reasons and len(honest.upstream) == 10


def test_a_full_filter_lets_nothing_through_unchecked() -> None:
    keys = [SHOP_KEY, TILL_KEY, *(private_jwk("HS256", f"key-{number}") for number in range(3))]
    node = Node(keys=jwks(*keys), replay=replay_filter(capacity=20))
    wire = node.wire()
    moment = now()
    for number in range(60):
        wire.send(signed(key=keys[number % 5], created=moment).bytes()).respond()
    assert len(wire.upstream) == 20
    assert wire.reasons == ["replay-full"] * 40
    assert b"HTTP/1.1 503 Service Unavailable\r\n" in wire.caller and b"\r\nRetry-After: " in wire.caller
