"""The gates as ASGI middleware: an application behind it sees only calls that were proven and are fresh.

    app = GateMiddleware(app, Gate.from_config("pyproxy.toml"))

The caller's SPIFFE ID is in `scope["state"]["pyproxy"]` (an `Admission`), and in the `X-Pyproxy-Principal` header,
which nobody else can set. A body is read whole, up to what the gate would hold, before the application is called:
nothing of a call whose digest fails reaches it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal, cast
from urllib.parse import quote

from pyproxy.embed import Admission, Gate, Rejection

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class GateMiddleware:
    """Asks the gate about every HTTP request and WebSocket handshake."""

    def __init__(self, app: App, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        body: bytes | Literal["too large", "cut off"] = b""
        if scope["type"] == "http":
            body = await self._read_body(receive)
            if body == "cut off":
                return
        try:
            admission = self._judge(scope, body)
        except Rejection as rejection:
            await _refuse(scope, receive, send, rejection)
            return
        await self._app(_proven(scope, admission), _again(cast(bytes, body), receive, scope), send)

    def _judge(self, scope: Scope, body: bytes | str) -> Admission:
        if isinstance(body, str):
            raise self._gate.body_too_large()
        target = (scope.get("raw_path") or quote(scope["path"]).encode("ascii")).decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        method = scope.get("method", "GET")
        return self._gate.admit(method, target, scope["headers"], body or None)

    async def _read_body(self, receive: Receive) -> bytes | Literal["too large", "cut off"]:
        parts: list[bytes] = []
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return "cut off"
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._gate.max_body_bytes:
                return "too large"
            if not message.get("more_body", False):
                return b"".join(parts)


def _proven(scope: Scope, admission: Admission) -> Scope:
    """The scope as the application may trust it."""
    headers = [
        (name, value)
        for name, value in cast("list[tuple[bytes, bytes]]", scope["headers"])
        if not name.lower().replace(b"_", b"-").startswith(b"x-pyproxy-")
    ]
    if admission.principal is not None:
        headers.append((b"x-pyproxy-principal", admission.principal.encode("ascii")))
    state = {**scope.get("state", {}), "pyproxy": admission}
    return {**scope, "headers": headers, "state": state}


def _again(body: bytes, receive: Receive, scope: Scope) -> Receive:
    """Gives the application the body that was read for it, then whatever follows."""
    if scope["type"] == "websocket":
        return receive
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


async def _refuse(scope: Scope, receive: Receive, send: Send, rejection: Rejection) -> None:
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # websocket.connect: nothing may be sent before it
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008, "reason": rejection.reason})
            return
        kind = "websocket.http"
    headers = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in rejection.headers]
    headers.append((b"content-length", str(len(rejection.body)).encode("ascii")))
    await send({"type": f"{kind}.response.start", "status": rejection.status, "headers": headers})
    await send({"type": f"{kind}.response.body", "body": rejection.body})
