"""A gate in memory: raw bytes of a caller go in, what the upstream and the caller would get comes out. No sockets.

Requests are signed by the product's own code, so each attack starts from a call that would have passed, and differs
from it in one thing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import os
import time
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pyproxy import flags as f
from pyproxy._native import Connection, Gate, ReplayFilter, sign_request

HOST = "orders.internal"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
SHOP, TILL = "spiffe://prod.example/shop", "spiffe://prod.example/till"
_nonces = itertools.count()

Fields = list[tuple[str, str]]


def octets(value: int | bytes, length: int | None = None) -> str:
    if isinstance(value, int):
        value = value.to_bytes(length or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def private_jwk(alg: str, kid: str, principal: str = SHOP) -> dict[str, Any]:
    """A fresh key of one algorithm, private members included."""
    named = {"kid": kid, "alg": alg, "principal": principal}
    if alg == "HS256":
        return named | {"kty": "oct", "k": octets(os.urandom(32))}
    if alg == "Ed25519":
        key = ed25519.Ed25519PrivateKey.generate()
        public = key.public_key().public_bytes_raw()
        return named | {"kty": "OKP", "crv": "Ed25519", "x": octets(public), "d": octets(key.private_bytes_raw())}
    if alg == "ES256":
        numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
        point = numbers.public_numbers
        x, y, d = (octets(n, 32) for n in (point.x, point.y, numbers.private_value))
        return named | {"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d}
    n = rsa.generate_private_key(65537, 2048).private_numbers()
    parts = {"n": n.public_numbers.n, "e": n.public_numbers.e, "d": n.d, "p": n.p, "q": n.q}
    parts |= {"dp": n.dmp1, "dq": n.dmq1, "qi": n.iqmp}
    return named | {"kty": "RSA"} | {name: octets(number) for name, number in parts.items()}


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    """What a verifier has of it."""
    secret = {"d", "p", "q", "dp", "dq", "qi"}
    return {name: value for name, value in jwk.items() if name not in secret}


#: Two callers' keys, the same for all tests of a process.
SHOP_KEY, TILL_KEY = private_jwk("HS256", "shop"), private_jwk("Ed25519", "till", TILL)


def jwks(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": [public(key) for key in keys]}).encode()


def now() -> int:
    return int(time.time())


def nonce() -> str:
    """One that no test has used."""
    return f"nonce-of-a-test-{next(_nonces)}"


@dataclass
class Call:
    """A signed call, taken apart so that it can be tampered with."""

    method: str
    target: str
    fields: Fields
    body: bytes = b""

    def bytes(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.fields)]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def get(self, name: str) -> str:
        return next(value for known, value in self.fields if known.lower() == name.lower())

    def but(self, name: str, *values: str) -> Call:
        """With these lines of one field, and no others of it, at the place of the first."""
        at = next((i for i, (known, _) in enumerate(self.fields) if known.lower() == name.lower()), len(self.fields))
        kept = [(known, value) for known, value in self.fields if known.lower() != name.lower()]
        return Call(self.method, self.target, kept[:at] + [(name, v) for v in values] + kept[at:], self.body)

    def plus(self, *more: tuple[str, str]) -> Call:
        return Call(self.method, self.target, [*self.fields, *more], self.body)


def signed(
    method: str = "GET",
    target: str = "/v1/x?a=b",
    body: bytes = b"",
    *,
    host: str = HOST,
    fields: Fields | None = None,
    cover: list[str] | None = None,
    key: dict[str, Any] | None = None,
    created: int | None = None,
    expires: int | None = None,
    nonce_: str | None = None,
    label: str = "sig1",
) -> Call:
    """A call that passes, unless its arguments say otherwise. `cover` adds to the required components."""
    fields = [("Host", host), *(fields or [])]
    added = sign_request(
        json.dumps(key or SHOP_KEY).encode(),
        method,
        f"http://{host}{target}",
        fields,
        body or None,
        ["@method", "@authority", "@path", "@query", *(cover or [])],
        now() if created is None else created,
        expires,
        nonce_ or nonce(),
        label,
    )
    length: Fields = [("Content-Length", str(len(body)))] if body else []
    return Call(method, target, [*fields, *length, *added], body)


def signed_by_hand(
    fields: Fields | None = None, *, method: str = "POST", kid: str = "shop", secret: bytes | None = None, alg: str = ""
) -> Call:
    """A call that covers what is required and all of `fields`, signed by HMAC without the product's signer, which would
    refuse to sign nonsense."""
    fields = fields or []
    secret = base64.urlsafe_b64decode(SHOP_KEY["k"] + "==") if secret is None else secret
    values = [("@method", method), ("@authority", HOST), ("@path", "/v1/x"), ("@query", "?")]
    values += [(name.lower(), value) for name, value in fields]
    covered = "(" + " ".join(f'"{name}"' for name, _ in values) + ")"
    covered += f';created={now()};keyid="{kid}";nonce="{nonce()}"' + (f';alg="{alg}"' if alg else "")
    base = "".join(f'"{name}": {value}\n' for name, value in values) + f'"@signature-params": {covered}'
    mac = base64.b64encode(hmac.digest(secret, base.encode(), hashlib.sha256)).decode()
    signature = [("Signature-Input", f"s={covered}"), ("Signature", f"s=:{mac}:")]
    return Call(method, "/v1/x", [("Host", HOST), *fields, *signature])


def settings(**changes: Any) -> dict[str, Any]:
    """What the core is told. `signature` and `limits` are merged into the defaults, all else replaces them."""
    signature = {
        "require": ["@method", "@authority", "@path", "@query"],
        "max_age_s": 30,
        "clock_skew_s": 5,
    } | changes.pop("signature", {})
    route = {"name": "orders", "host": HOST, "path": "/v1/*", "upstream": 0}
    return {
        "node": "edge-1",
        "signature": signature,
        "listeners": [
            {
                "name": "ingress",
                "authenticate": {"all": ["signature"]},
                "freshness": "claimed",
                "authorize": "allow_all",
                "external_scheme": "http",
            }
        ],
        "upstreams": [{"name": "orders"}, {"name": "admin"}],
        "routes": [route, route | {"name": "admin", "path": "/v1/admin/*", "upstream": 1}],
    } | changes


OPEN = {"authenticate": {"all": []}, "freshness": "none"}
"""Members of a listener that verifies nothing: for attacks on HTTP alone."""


def replay_filter(capacity: int = 10_000) -> ReplayFilter:
    """One that was made long enough ago for its fence to be past."""
    past = 10**11
    boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    made = ReplayFilter.in_memory(
        capacity=capacity,
        max_age_s=30,
        clock_skew_s=5,
        tag_key=os.urandom(32),
        now=(time.time_ns() - past, boot_ns - past),
    )
    while made.clear_step(1 << 20) == "cleared":
        pass
    return made


class Node:
    """The gates of one worker, to which connections can be made."""

    def __init__(self, *, keys: bytes | None = None, replay: ReplayFilter | None = None, **changes: Any) -> None:
        self.keys = keys or jwks(SHOP_KEY, TILL_KEY)
        self.replay = replay or replay_filter()
        self.gate = Gate(json.dumps(settings(**changes)).encode(), self.keys, seed=os.urandom(16), replay=self.replay)

    @classmethod
    def open(cls, **changes: Any) -> Node:
        """Verifies nothing."""
        return cls(listeners=[settings()["listeners"][0] | OPEN], **changes)

    def reload(self, keys: bytes | None = None, **changes: Any) -> None:
        self.gate.reload(json.dumps(settings(**changes)).encode(), keys or self.keys)

    def wire(self) -> Wire:
        return Wire(self.gate.connect(0, "192.0.2.1:5000"))


class Wire:
    """One connection: `caller` is what the caller got, `upstream` what went upstream, call by call."""

    def __init__(self, core: Connection) -> None:
        self._core = core
        self.caller = b""
        self.upstream: list[bytes] = []
        self.indices: list[int] = []
        """Which upstream each call went to."""
        self.closed = False
        self.reset = False
        self.aborted = False
        self.paused = False
        self.again = False

    def send(self, data: bytes, *, follow: bool = True) -> Wire:
        self._carry_out(self._core.receive_data(data), follow)
        return self

    def respond(self, data: bytes = OK) -> Wire:
        self._carry_out(self._core.receive_response(data), True)
        return self

    def eof(self) -> Wire:
        self._carry_out(self._core.receive_eof(), True)
        return self

    def lose(self) -> Wire:
        self._carry_out(self._core.lost(), True)
        return self

    def fail(self, failure: int, *, written: bool = False, reused: bool = False) -> Wire:
        self._carry_out(self._core.upstream_failed(failure, written, reused), True)
        return self

    def _carry_out(self, action: f.Action | None, follow: bool) -> None:
        while action is not None:
            flags, to_downstream, to_upstream = action
            self.caller += to_downstream or b""
            if flags & f.CONNECT:
                self.upstream.append(b"")
                self.indices.append(flags >> f.INDEX_SHIFT)
            if to_upstream:
                self.upstream[-1] += to_upstream
            self.closed |= bool(flags & (f.CLOSE | f.RESET))
            self.reset |= bool(flags & f.RESET)
            self.aborted |= bool(flags & f.ABORT)
            self.paused = bool(flags & f.PAUSE) or (self.paused and not flags & f.RESUME)
            self.again = bool(flags & f.AGAIN)
            action = self._core.receive_data(b"") if follow and self.again else None

    # What came of it.

    @property
    def reasons(self) -> list[str]:
        """Of every refusal on this connection, in order."""
        parts = self.caller.split(b'"reason":"')[1:]
        return [part.split(b'"')[0].decode() for part in parts]

    def passed(self) -> bool:
        """Whether exactly one call went upstream, and nothing was refused."""
        return len(self.upstream) == 1 and not self.reasons

    def refused(self, reason: str) -> bool:
        """Whether it was refused for this reason alone, and nothing at all went upstream."""
        return self.reasons == [reason] and not self.upstream

    def __repr__(self) -> str:
        return f"Wire(caller={self.caller[:600]!r}, upstream={self.upstream!r}, closed={self.closed})"


def upstream_fields(wire: Wire) -> list[tuple[str, str]]:
    """The fields of the last call that went upstream, names in lower case."""
    head = wire.upstream[-1].split(b"\r\n\r\n")[0].decode("latin-1")
    pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:])
    return [(name.lower(), value) for name, value in pairs]
