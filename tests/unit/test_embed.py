"""The gates as a module: the proxy's own core, for programs that read requests themselves."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import time
from pathlib import Path

import pytest

from pyproxy import Gate, Rejection
from pyproxy._native import sign_request
from pyproxy.config import ConfigError

CONFIG = """
[node]
name = "embedded"
state_dir = "state"
[keys]
file = "keys.json"
[signature]
require = ["@method", "@authority", "@path", "@query"]
max_age = "30s"
clock_skew = "0s"
[replay]
capacity = 1000
path = "replay"
[[listener]]
name = "ingress"
bind = "127.0.0.1:8080"
authenticate = ["signature"]
authorize = "allow_all"
[[upstream]]
name = "orders"
endpoints = ["127.0.0.1:9000"]
[[route]]
host = "*"
path = "/*"
upstream = "orders"
"""
KEY = {
    "kty": "oct",
    "kid": "k",
    "alg": "HS256",
    "k": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
    "principal": "spiffe://example.org/billing",
}
URL = "http://orders.internal/v1/orders?id=7"


@pytest.fixture
def now() -> float:
    """Past the fence of a filter that is made just now."""
    return time.time() + 5


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "pyproxy.toml"
    path.write_text(CONFIG)
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY]}))
    keys.chmod(0o600)
    return path


def signed(method: str = "GET", body: bytes | None = None, created: float | None = None) -> list[tuple[str, str]]:
    headers = [("Host", "orders.internal")]
    if body:
        headers.append(("Content-Length", str(len(body))))
    nonce = secrets.token_urlsafe(16)
    key = json.dumps(KEY).encode()
    return headers + sign_request(key, method, URL, headers, body, None, int(created or time.time() + 5), None, nonce)


def refusal(gate: Gate, *args: object, **kwargs: object) -> Rejection:
    with pytest.raises(Rejection) as raised:
        gate.admit(*args, **kwargs)  # type: ignore[arg-type]
    return raised.value


def test_a_signed_call_is_admitted_once(config: Path, now: float) -> None:
    with Gate.from_config(config) as gate:
        headers = signed()
        admission = gate.admit("GET", "/v1/orders?id=7", headers, now=now)
        assert admission == ("spiffe://example.org/billing", "k", "claimed")
        again = refusal(gate, "GET", "/v1/orders?id=7", headers, now=now)
        assert (again.reason, again.status) == ("replayed", 401)
        assert json.loads(again.body)["reason"] == "replayed"
        assert ("Content-Type", "application/problem+json") in again.headers


def test_a_mapping_of_headers_will_do(config: Path, now: float) -> None:
    with Gate.from_config(config) as gate:
        assert gate.admit("GET", "/v1/orders?id=7", dict(signed()), now=now).key_id == "k"


@pytest.mark.parametrize(
    ("method", "target", "later_s", "reason"),
    [
        ("POST", "/v1/orders?id=7", 0, "signature-invalid"),
        ("GET", "/v1/orders?id=8", 0, "signature-invalid"),
        ("GET", "/v1/orders?id=7", 60, "signature-expired"),
        ("GET", "/v1/orders?id=7\r\nX: y", 0, "malformed"),
        ("GET", "/v1/%00", 0, "signature-invalid"),
    ],
)
def test_what_the_proxy_would_refuse_is_refused(
    config: Path, now: float, method: str, target: str, later_s: int, reason: str
) -> None:
    with Gate.from_config(config) as gate:
        assert refusal(gate, method, target, signed(), now=now + later_s).reason == reason


def test_a_body_must_match_its_digest_and_a_bad_one_does_not_burn_the_nonce(config: Path, now: float) -> None:
    with Gate.from_config(config) as gate:
        headers = signed("PUT", b"real")
        assert refusal(gate, "PUT", "/v1/orders?id=7", headers, b"fake", now=now).reason == "digest-mismatch"
        assert refusal(gate, "PUT", "/v1/orders?id=7", headers, None, now=now).reason == "digest-mismatch"
        assert gate.admit("PUT", "/v1/orders?id=7", headers, b"real", now=now).freshness == "claimed"


def test_a_body_that_no_header_announces_must_be_covered_too(config: Path, now: float) -> None:
    with Gate.from_config(config) as gate:
        assert refusal(gate, "GET", "/v1/orders?id=7", signed(), b"smuggled", now=now).reason == "coverage-insufficient"


def test_a_second_gate_on_the_same_state_sees_the_replay(config: Path, now: float) -> None:
    headers = signed()
    with Gate.from_config(config) as gate, Gate.from_config(config) as other:
        gate.admit("GET", "/v1/orders?id=7", headers, now=now)
        assert refusal(other, "GET", "/v1/orders?id=7", headers, now=now).reason == "replayed"


def _reason_elsewhere(config: Path, now: float, headers: list[tuple[str, str]]) -> str:
    with Gate.from_config(config) as gate:
        return refusal(gate, "GET", "/v1/orders?id=7", headers, now=now).reason


def test_a_second_process_sees_the_replay(config: Path, now: float) -> None:
    headers = signed()
    with Gate.from_config(config) as gate, multiprocessing.get_context("spawn").Pool(1) as pool:
        gate.admit("GET", "/v1/orders?id=7", headers, now=now)
        assert pool.apply(_reason_elsewhere, (config, now, headers)) == "replayed"


def test_reload_puts_new_keys_in_force_and_a_bad_file_changes_nothing(config: Path, now: float) -> None:
    keys = config.parent / "keys.json"
    with Gate.from_config(config) as gate:
        keys.write_text("{")
        with pytest.raises(Exception, match=r"keys\.json"):
            gate.reload()
        assert gate.admit("GET", "/v1/orders?id=7", signed(), now=now).key_id == "k"
        keys.write_text(json.dumps({"keys": [KEY | {"kid": "other"}]}))
        gate.reload()
        assert refusal(gate, "GET", "/v1/orders?id=7", signed(), now=now).reason == "key-unknown"


def test_the_listener_is_named_or_the_error_lists_those_there_are(config: Path) -> None:
    with pytest.raises(ValueError, match=r"no listener `x`.*ingress"):
        Gate.from_config(config, listener="x")


def test_config_errors_come_all_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[node]\nname = 'a b'\nworkers = 0\n")
    with pytest.raises(ConfigError) as raised:
        Gate.from_config(path)
    assert len(raised.value.problems) > 1
