"""Attack: more signatures than the caller made, to confuse which one counts, or to have us verify without end."""

from __future__ import annotations

from wire import SHOP, SHOP_KEY, TILL_KEY, Call, Wire, private_jwk, signed, upstream_fields


def with_signature(call: Call, other: Call) -> Call:
    """`call` that also carries the signature of `other`."""
    for name in ("Signature-Input", "Signature"):
        call = call.but(name, f"{call.get(name)}, {other.get(name)}")
    return call


def test_a_strangers_signature_neither_helps_nor_hurts(wire: Wire) -> None:
    stranger = signed(key=private_jwk("HS256", "stranger"), label="theirs")
    assert wire.send(with_signature(signed(), stranger).bytes()).passed(), wire
    assert ("x-pyproxy-principal", SHOP) in upstream_fields(wire)


def test_a_strangers_signature_does_not_make_up_for_a_bad_one(wire: Wire) -> None:
    stranger = signed(key=private_jwk("HS256", "stranger"), label="theirs")
    bad = signed().but("Signature", "sig1=:AAAA:")
    assert wire.send(with_signature(bad, stranger).bytes()).refused("signature-invalid"), wire


def test_two_that_verify_are_two_calls_and_so_none(wire: Wire) -> None:
    for second in (SHOP_KEY, TILL_KEY):
        wire.send(with_signature(signed(), signed(key=second, label="sig2")).bytes())
    assert wire.reasons == ["signature-ambiguous"] * 2 and not wire.upstream


def test_a_bad_one_beside_a_good_one_is_not_ignored(wire: Wire) -> None:
    bad = signed(key=TILL_KEY, label="sig2")
    bad = bad.but("Signature", f"sig2=:{'A' * 86}==:")
    assert wire.send(with_signature(signed(), bad).bytes()).refused("signature-invalid"), wire
    old = signed(key=TILL_KEY, label="sig2", created=1)
    assert wire.send(with_signature(signed(), old).bytes()).reasons[1:] == ["signature-expired"], wire
    assert not wire.upstream


def test_three_of_known_keys_are_refused_unverified(wire: Wire) -> None:
    call = with_signature(signed(), signed(key=TILL_KEY, label="b"))
    assert wire.send(with_signature(call, signed(label="c")).bytes()).refused("signature-ambiguous"), wire


def test_more_labels_than_eight_are_refused(wire: Wire) -> None:
    key = private_jwk("HS256", "stranger")
    call = signed()
    for number in range(7):
        call = with_signature(call, signed(key=key, label=f"s{number}"))
    assert wire.send(call.bytes()).passed(), wire
    wire.respond()
    call = signed()
    for number in range(8):
        call = with_signature(call, signed(key=key, label=f"s{number}"))
    assert wire.send(call.bytes()).reasons == ["signature-malformed"], wire


def test_a_label_means_nothing(wire: Wire) -> None:
    assert wire.send(signed(label="admin").bytes()).passed(), wire
