"""The ASGI middleware under uvicorn, over real connections."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from pyproxy import Gate
from pyproxy.asgi import GateMiddleware
from tests.unit.test_embed import CONFIG, KEY, signed


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was given."""
    message = await receive()
    headers = {name.decode(): value.decode() for name, value in scope["headers"]}
    said = json.dumps(
        {
            "principal": headers.get("x-pyproxy-principal"),
            "state": scope["state"]["pyproxy"].principal,
            "body": message["body"].decode(),
        }
    ).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": said})


@pytest.fixture
def base(tmp_path: Path) -> Iterator[str]:
    """Address of an application behind a gate."""
    path = tmp_path / "pyproxy.toml"
    path.write_text(CONFIG.replace('clock_skew = "0s"', 'clock_skew = "5s"'))
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"keys": [KEY]}))
    keys.chmod(0o600)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    with Gate.from_config(path) as gate:
        gated = GateMiddleware(app, gate)
        server = uvicorn.Server(uvicorn.Config(gated, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def call(base: str, headers: list[tuple[str, str]], **more: Any) -> httpx.Response:
    return httpx.request(more.pop("method", "GET"), base + "/v1/orders?id=7", headers=headers, trust_env=False, **more)


def freshly_signed(method: str = "GET", body: bytes | None = None) -> list[tuple[str, str]]:
    """Created as far ahead as the clock skew allows: past the fence of the new filter."""
    return signed(method, body, created=time.time() + 5)


def past_fence() -> None:
    """The fence is the start plus the skew in whole seconds: in its own second every call is refused (real clocks)."""
    time.sleep(1.1)


def test_a_signed_call_reaches_the_application_with_its_principal(base: str) -> None:
    past_fence()
    headers = freshly_signed()
    answer = call(base, [*headers, ("X-Pyproxy-Principal", "spiffe://example.org/admin")])
    assert answer.status_code == 200, answer.text
    assert answer.json()["principal"] == "spiffe://example.org/billing"
    assert answer.json()["state"] == "spiffe://example.org/billing"
    again = call(base, headers)
    assert (again.status_code, again.json()["reason"]) == (401, "replayed")
    assert again.headers["content-type"] == "application/problem+json"


def test_an_unsigned_call_is_refused_with_what_to_sign(base: str) -> None:
    answer = call(base, [])
    assert (answer.status_code, answer.json()["reason"]) == (401, "signature-missing")
    assert "@method" in answer.headers["accept-signature"]


def test_a_body_reaches_the_application_only_if_its_digest_holds(base: str) -> None:
    past_fence()
    headers = freshly_signed("POST", b"real")
    bad = call(base, headers, method="POST", content=b"fake")
    assert (bad.status_code, bad.json()["reason"]) == (401, "digest-mismatch")
    good = call(base, headers, method="POST", content=b"real")
    assert good.json()["body"] == "real"


def test_a_body_larger_than_the_gate_would_hold_is_refused(base: str) -> None:
    answer = call(base, freshly_signed(), method="POST", content=b"x" * (2 << 20))
    assert (answer.status_code, answer.json()["reason"]) == (413, "body-too-large")
    assert answer.headers["content-type"] == "application/problem+json"
