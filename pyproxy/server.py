"""Accepts the connections of one listener: each becomes a `Downstream`, unless too many are open.

At the bound a connection is accepted and closed at once, and counted. The alternative, not accepting, was rejected: the
kernel spreads connections over workers blindly, so that callers would hang in the queue of the one worker that is full
while others have room; closed, they come again and most likely meet another. Sockets that are queued when a drain
begins are accepted until the queue is empty (`drain.py`).
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, cast

from pyproxy.downstream import Downstream
from pyproxy.service import Service

if TYPE_CHECKING:
    from pyproxy._native import Gate
    from pyproxy.control import ListeningSocket
    from pyproxy.pool import Pool


class Refused(asyncio.Protocol):
    """A connection beyond the bound."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast(asyncio.Transport, transport).abort()


class Listener(Service):
    """One listener of this worker: what its connections share, and the server that accepts them."""

    __slots__ = ("_max_connections", "_open", "_server", "_settings", "accepted", "refused")

    def __init__(self, gate: Gate, index: int, settings: ListeningSocket, pools: list[Pool]) -> None:
        super().__init__(gate, index, pools)
        self._settings = settings
        self._max_connections = settings.max_connections
        self._open = 0
        self._server: asyncio.AbstractServer | None = None
        self.accepted = 0
        """Connections that became a `Downstream`."""
        self.refused = 0
        """Connections closed at once."""

    async def start(self) -> None:
        """Accepts from now on."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(fileno=self._settings.descriptor)
        factory = cast("type[asyncio.Protocol]", self._accept)
        if sock.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(factory, sock=sock, backlog=self._settings.backlog)
        else:
            self._server = await loop.create_server(factory, sock=sock, backlog=self._settings.backlog)

    def stop(self) -> None:
        """Accepts no more; open connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def disconnected(self, downstream: Downstream) -> None:
        self._open -= 1
        super().disconnected(downstream)

    def _accept(self) -> Downstream | Refused:
        # Counted here and not by `connections`: those of one burst are all accepted before the first is connected.
        if self._open >= self._max_connections:
            self.refused += 1
            return Refused()
        self._open += 1
        self.accepted += 1
        return Downstream(self)
