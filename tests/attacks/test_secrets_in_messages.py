"""Attack: make the proxy say, in an answer, a log line or an error, what the caller or its neighbours keep secret."""

from __future__ import annotations

import json
import os

import pytest
from wire import SHOP_KEY, TILL_KEY, Node, Wire, jwks, private_jwk, replay_filter, settings, signed

from pyproxy._native import AccessLog, Gate, check_keys, sign_request

SECRET = "s3cr3t-value"


def refusals(wire: Wire) -> list[bytes]:
    """Answers to calls that carry a secret in every place, each refused for another reason."""
    url = f"/v1/x?token={SECRET}"
    good = signed(target=url)
    calls = [
        signed(target=f"/nowhere/x?token={SECRET}"),
        good.but("Signature", f"sig1=:{'A' * 43}=:"),
        good.but("Signature", f'sig1="{SECRET}"'),
        good.but("Signature-Input", f'sig1=("{SECRET}'),
        good.but("Signature"),
        signed(target=url, created=1),
        good.plus(("Connection", SECRET + " x")),
        good.plus(("Host", SECRET)),
    ]
    for call in calls:
        wire.closed = False
        wire.send(call.plus(("Authorization", f"Bearer {SECRET}"), ("Cookie", SECRET)).bytes())
    return [wire.caller]


def test_an_answer_never_holds_what_the_caller_sent(node: Node) -> None:
    answers = b"".join(answer for _ in range(1) for answer in refusals(node.wire()))
    assert answers.count(b'"reason":') >= 6
    assert SECRET.encode() not in answers


def test_an_answer_names_a_reason_and_no_more(wire: Wire) -> None:
    wire.send(signed().but("Signature", "sig1=:AAAA:").bytes())
    problem = json.loads(wire.caller.split(b"\r\n\r\n")[1])
    assert problem == {
        "type": "urn:pyproxy:problem:signature-invalid",
        "title": "signature invalid",
        "status": 401,
        "reason": "signature-invalid",
    }


def test_the_access_log_never_holds_a_query_a_credential_or_a_body() -> None:
    log = AccessLog(["ingress"], 1 << 20)
    gate = Gate(
        json.dumps(settings()).encode(),
        jwks(SHOP_KEY, TILL_KEY),
        seed=os.urandom(16),
        replay=replay_filter(),
        access_log=log,
    )
    refusals(Wire(gate.connect(0, "192.0.2.1:5000")))
    wire = Wire(gate.connect(0, "192.0.2.1:5000"))
    call = signed("POST", f"/v1/x?token={SECRET}", body=SECRET.encode())
    wire.send(call.plus(("Authorization", SECRET)).bytes()).respond()
    assert wire.passed()
    lines, _ = log.take()
    assert lines.count(b"\n") >= 6
    assert SECRET.encode() not in lines and call.get("Signature")[6:40].encode() not in lines


def test_a_log_line_cannot_be_forged() -> None:
    log = AccessLog(["ingress"], 1 << 20)
    gate = Gate(
        json.dumps(settings()).encode(), jwks(SHOP_KEY), seed=os.urandom(16), replay=replay_filter(), access_log=log
    )
    wire = Wire(gate.connect(0, "192.0.2.1:5000"))
    wire.send(signed(target='/v1/%0a{"x":"\\"}').bytes()).respond()
    wire.send(signed().but("Signature-Input", 'sig1=();keyid="a\\"b\\\\";x="}').bytes())
    lines = log.take()[0].splitlines()
    assert len(lines) == len(wire.reasons) + len(wire.upstream)
    assert all(isinstance(json.loads(line), dict) for line in lines)


@pytest.mark.parametrize("alg", ["HS256", "Ed25519", "ES256"])
def test_an_error_about_a_key_never_holds_its_secret(alg: str) -> None:
    key = private_jwk(alg, "k")
    member = "k" if alg == "HS256" else "d"
    secret = key[member]
    for broken in (
        key | {member: secret + "!"},
        key | {"alg": "HS512"},
        key | {"kty": "RSA"},
        key | {"principal": "not a spiffe id"},
        key | {"kid": None},
        key | {member: secret[:-4]},
    ):
        raw = json.dumps({"keys": [broken]}).encode()
        _, errors, warnings = check_keys(raw)
        said = "".join(errors + warnings)
        with pytest.raises(ValueError) as one:
            Node(keys=raw[:-1])
        said += str(one.value)
        try:
            sign_request(json.dumps(broken).encode(), "GET", "http://a/", [], None, None, 1, None, "x" * 16)
        except ValueError as error:
            said += str(error)
        assert said and secret[:12] not in said, said


def test_json_that_breaks_off_inside_a_secret_is_not_quoted() -> None:
    raw = jwks(SHOP_KEY)
    at = raw.index(SHOP_KEY["k"].encode()) + 20
    _, errors, _ = check_keys(raw[:at])
    assert errors and SHOP_KEY["k"][:12] not in "".join(errors)


def test_keys_and_gates_say_nothing_about_themselves() -> None:
    node = Node()
    assert SHOP_KEY["k"] not in repr(node.gate) + str(node.gate)
