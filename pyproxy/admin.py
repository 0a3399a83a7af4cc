"""The admin listener: `/livez`, `/readyz`, `/metrics`, for machines on this machine.

It asks nobody who they are, so it listens on loopback or a Unix socket only, answers GET and HEAD only, changes
nothing, and tells nothing secret. A browser on this machine must not become a stranger's eye (DNS rebinding): `Host`
has to be a loopback address or `localhost`. HTTP is h11's; this module bounds it: size and time of a head, connections
at a time, one request per connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import re
import socket
from collections.abc import Callable
from typing import NamedTuple

import h11
import msgspec

from pyproxy.addresses import Address
from pyproxy.events import log
from pyproxy.listening import FileIdentity, ListenError, cause, open_one, remove_file

MAX_HEAD_BYTES = 8 * 1024
MAX_CONNECTIONS = 32
#: A request has to be there, and its answer taken, in this time.
TIMEOUT_S = 5.0

_JSON = "application/json"
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?", re.ASCII)


class Answer(NamedTuple):
    """What a question is answered with."""

    status: int
    body: bytes
    content_type: str = _JSON


class Asked(NamedTuple):
    """A question, as far as the answer depends on it."""

    accept: str


class Admin:
    """The listener. `pages` by path."""

    def __init__(self, bind: Address, pages: dict[str, Callable[[Asked], Answer]]) -> None:
        self._bind = bind
        self._pages = pages
        self._server: asyncio.AbstractServer | None = None
        self._identity: FileIdentity | None = None
        self._connections = 0

    async def start(self) -> None:
        """Listens from now on.

        # Errors
        [`ListenError`].
        """
        try:
            sock, self._identity = open_one(self._bind, backlog=MAX_CONNECTIONS)
        except OSError as error:
            raise ListenError(f"admin: cannot listen on {self._bind}: {cause(error)}") from None
        if sock.family == socket.AF_UNIX:
            self._server = await asyncio.start_unix_server(self._connected, sock=sock)
        else:
            self._server = await asyncio.start_server(self._connected, sock=sock)

    def close(self) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()
            remove_file(self._bind, self._identity)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                with contextlib.suppress(TimeoutError, OSError):
                    async with asyncio.timeout(TIMEOUT_S):
                        await self._serve(reader, writer)
        except Exception:
            log.exception("admin request failed")
        finally:
            self._connections -= 1
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            while (event := http.next_event()) is h11.NEED_DATA:
                http.receive_data(await reader.read(MAX_HEAD_BYTES))
            if not isinstance(event, h11.Request):
                return
            answer, head_only = self._answer(event), event.method == b"HEAD"
        except h11.RemoteProtocolError as error:
            answer, head_only = _error(error.error_status_hint, "malformed request"), False
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        if answer.status == 405:
            headers.append(("Allow", "GET, HEAD"))
        out = http.send(h11.Response(status_code=answer.status, headers=headers)) or b""
        if not head_only:
            out += http.send(h11.Data(data=answer.body)) or b""
        writer.write(out)
        await writer.drain()

    def _answer(self, request: h11.Request) -> Answer:
        fields = {name: value.decode("latin-1") for name, value in request.headers}
        hosts = [value for name, value in request.headers if name == b"host"]
        if len(hosts) != 1 or not is_local_host(hosts[0].decode("latin-1")):
            return _error(421, "host: expected a loopback address or `localhost`")
        if request.method not in (b"GET", b"HEAD"):
            return _error(405, "only GET and HEAD")
        page = self._pages.get(request.target.decode("latin-1").partition("?")[0])
        if page is None:
            return _error(404, f"not here; there are {', '.join(self._pages)}")
        return page(Asked(fields.get(b"accept", "")))


def is_local_host(host: str) -> bool:
    """Whether a `Host` can only mean this machine, whatever any name server says."""
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def as_json(status: int, value: object) -> Answer:
    """An answer for programs that people can read too."""
    return Answer(status, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _error(status: int, detail: str) -> Answer:
    return as_json(status, {"status": status, "detail": detail})
