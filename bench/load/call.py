"""The call that is played: a real-looking request of twelve fields, two of which are its signature.

Here it is also signed in Python and sent once, to see that a set-up does its work before it is measured: it must take
a good call, and if it verifies, refuse every bad one. A rival that skipped a check would be no rival.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.load.place import READY_WITHIN_S, Running, SetupError

if TYPE_CHECKING:
    from pathlib import Path

HOST = "orders.internal"
MAX_AGE_S = 30
CLOCK_SKEW_S = 5
KEYS = 8

# Ten fields; Signature-Input and Signature make twelve.
FIELDS = {
    "Host": HOST,
    "User-Agent": "checkout/4.12.0 (linux; amd64) httpx/0.28.1",
    "Accept": "application/json",
    "Accept-Encoding": "gzip, br",
    "Accept-Language": "en-GB, en;q=0.8",
    "Cache-Control": "no-cache",
    "X-Tenant-Id": "acme-emea-production",
    "X-Client-Version": "2026.11.2+build.4711",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
}
PATH = "/v1/orders/8f14e45f-ceea-467f-a83c-9b1c1b3f6d2a/items"
QUERY = "?status=open&limit=50"


@dataclass(frozen=True)
class Call:
    """A signed request, each part of which can be spoiled after signing."""

    key_id: str
    secret: bytes = field(repr=False)
    path: str = PATH
    host: str = HOST
    created: int = 0
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def signature(self) -> tuple[str, bytes]:
        """Signature parameters and signature (RFC 9421 section 3.1)."""
        parameters = (
            f'("@method" "@authority" "@path" "@query");created={self.created};keyid="{self.key_id}"'
            f';alg="hmac-sha256";nonce="{self.nonce}"'
        )
        base = (
            f'"@method": GET\n"@authority": {self.host}\n"@path": {self.path}\n"@query": {QUERY}\n'
            f'"@signature-params": {parameters}'
        )
        return parameters, hmac.digest(self.secret, base.encode(), hashlib.sha256)


def unsigned_request(path: str = PATH, host: str = HOST) -> bytes:
    """The request without its signature, byte for byte."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in {**FIELDS, "Host": host}.items())
    return f"GET {path}{QUERY} HTTP/1.1\r\n{fields}\r\n".encode()


def signed_request(request: bytes, parameters: str, signature: bytes) -> bytes:
    """`request` with these signature fields added."""
    encoded = base64.b64encode(signature).decode()
    return request[:-2] + f"Signature-Input: sig1={parameters}\r\nSignature: sig1=:{encoded}:\r\n\r\n".encode()


def write_keys(file: Path) -> None:
    """A new JWK Set of HMAC keys, readable by its owner only."""
    keys = [
        {
            "kty": "oct",
            "kid": f"caller-{number}",
            "alg": "HS256",
            "principal": f"spiffe://bench.internal/caller-{number}",
            "k": base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode(),
        }
        for number in range(KEYS)
    ]
    file.touch(mode=0o600)
    file.write_text(json.dumps({"keys": keys}))


def read_keys(file: Path) -> dict[str, bytes]:
    """Secrets by key id."""
    keys = json.loads(file.read_text())["keys"]
    return {key["kid"]: base64.urlsafe_b64decode(key["k"] + "=" * (-len(key["k"]) % 4)) for key in keys}


def check(setup: Running, keys_file: Path) -> None:
    """Raises unless the set-up answers a good call, and, if it verifies, refuses all that it must refuse."""
    key_id, secret = next(iter(read_keys(keys_file).items()))
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        good = Call(key_id, secret, created=int(time.time()))
        request = signed_request(unsigned_request(), *good.signature())
        # A new replay filter refuses what may have been accepted before it was made; later calls pass.
        if time.monotonic() > deadline or _answer(setup, request) != 503:
            break
        time.sleep(0.5)
    if not setup.verifies:
        _expect(setup, "a good call", request, 200)
        return
    fresh = _with_new_nonce(good)
    request = signed_request(unsigned_request(), *fresh.signature())
    _expect(setup, "a good call", request, 200)
    _expect(setup, "the same bytes again", request, 401)
    _expect(setup, "an unsigned call", unsigned_request(), 401)
    for what, path, host in [("another path", PATH + "x", HOST), ("another host", PATH, "x." + HOST)]:
        other = signed_request(unsigned_request(path, host), *_with_new_nonce(good).signature())
        _expect(setup, f"a signature for {what}", other, 401)
    for what, age_s in [("a stale call", MAX_AGE_S + CLOCK_SKEW_S + 2), ("a call from the future", -CLOCK_SKEW_S - 3)]:
        off = replace(_with_new_nonce(good), created=int(time.time()) - age_s)
        _expect(setup, what, signed_request(unsigned_request(), *off.signature()), 401)
    parameters, signature = _with_new_nonce(good).signature()
    forged = bytes([*signature[:-1], signature[-1] ^ 1])
    _expect(setup, "a forged signature", signed_request(unsigned_request(), parameters, forged), 401)
    honest = signed_request(unsigned_request(), parameters, signature)
    _expect(setup, "the honest call after its forgery", honest, 200)


def _with_new_nonce(call: Call) -> Call:
    return replace(call, nonce=secrets.token_urlsafe(16))


def _expect(setup: Running, what: str, request: bytes, status: int) -> None:
    got = _answer(setup, request)
    if got != status:
        raise SetupError(f"{setup.name} must answer {what} with {status}, and it answered {got}")


def _answer(setup: Running, request: bytes) -> int | None:
    with socket.create_connection(("127.0.0.1", setup.port), timeout=5) as connection:
        connection.sendall(request)
        answer = b""
        while b"\r\n" not in answer:
            received = connection.recv(4096)
            if not received:
                break
            answer += received
    words = answer.partition(b"\r\n")[0].split(b" ")
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None
