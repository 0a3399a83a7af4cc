"""What the supervisor and its workers say to each other, over a socket that only they hold.

Settings and keys travel here and nowhere else: never in an argument or the environment, which others can read. Each
message is its length (4 bytes, big endian) and a tagged msgspec struct in MessagePack.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Generic, TypeVar

import msgspec

from pyproxy.replayfile import FilterFile

#: A message may not be longer; the largest holds a key set and all routes.
MAX_MESSAGE_BYTES = 256 << 20


class ListeningSocket(msgspec.Struct, frozen=True):
    """A listener's socket, inherited by the worker."""

    descriptor: int
    name: str
    max_connections: int
    backlog: int


class ProbeSettings(msgspec.Struct, frozen=True):
    """Active health checks of an upstream; see `Health` in config_sections.py."""

    path: str
    host: str | None
    interval_s: float
    timeout_s: float
    unhealthy_after: int
    healthy_after: int


class UpstreamSettings(msgspec.Struct, frozen=True):
    """The driver's part of an upstream; see `Upstream` in config_sections.py."""

    name: str
    #: Host (an address or a name) and port.
    tcp: tuple[tuple[str, int], ...]
    #: Paths of Unix sockets.
    unix: tuple[str, ...]
    connect_timeout_s: float
    max_waiting: int
    max_connections: int | None
    max_idle: int
    idle_timeout_s: float
    eject_after: int
    eject_for_s: float
    max_ejected_percent: int
    resolve_interval_s: float
    health: ProbeSettings | None


class Reloadable(msgspec.Struct, frozen=True):
    """What a reload can change."""

    generation: int
    #: JSON, for the core.
    settings: bytes
    #: JWK Set; None where no listener asks for signatures.
    keys: bytes | None
    upstreams: tuple[UpstreamSettings, ...]


class Start(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker, first and once: all there is to know."""

    slot: int
    listeners: tuple[ListeningSocket, ...]
    #: Descriptor of the slot's memory for numbers.
    metrics: int
    #: None where nothing is claimed.
    replay: FilterFile | None
    #: Path, or `-`; None for no access log.
    access_log: str | None
    drain_timeout_s: float
    reloadable: Reloadable


class Reload(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: these keys, routes and upstreams from now on."""

    reloadable: Reloadable


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: accept what is queued, finish what runs, then end."""


class ReopenLog(msgspec.Struct, frozen=True, tag=True):
    """Supervisor to worker: the access log's file was moved away."""


class Ready(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor, once: calls are served."""


class Heartbeat(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor, every second: the event loop turns."""


class Reloaded(msgspec.Struct, frozen=True, tag=True):
    """Worker to supervisor: that generation is in force, unless `error` says why not."""

    generation: int
    error: str | None = None


ToWorker = Start | Reload | Drain | ReopenLog
ToSupervisor = Ready | Heartbeat | Reloaded

Incoming = TypeVar("Incoming", ToWorker, ToSupervisor)

_encoder = msgspec.msgpack.Encoder()


class ChannelError(Exception):
    """The other side sent what is no message."""


class Channel(Generic[Incoming]):
    """One end."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, decoder: msgspec.msgpack.Decoder[Incoming]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._decoder = decoder

    def send(self, message: ToWorker | ToSupervisor) -> None:
        """Queues a message; one to a side that is gone is lost, which `receive` will have told."""
        if not self._writer.is_closing():
            body = _encoder.encode(message)
            self._writer.write(len(body).to_bytes(4, "big") + body)

    async def receive(self) -> Incoming | None:
        """The next message; None when the other side is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(4), "big")
            if length > MAX_MESSAGE_BYTES:
                raise ChannelError(f"message of {length} bytes, expected at most {MAX_MESSAGE_BYTES}")
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        try:
            return self._decoder.decode(body)
        except msgspec.MsgspecError as error:
            raise ChannelError(f"not a message: {error}") from None

    def close(self) -> None:
        """No more is said."""
        self._writer.close()


async def supervisor_end(end: socket.socket) -> Channel[ToSupervisor]:
    """The supervisor's end of a worker's socket pair."""
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Channel(reader, writer, msgspec.msgpack.Decoder(ToSupervisor))


async def worker_end(end: socket.socket) -> Channel[ToWorker]:
    """A worker's own end."""
    reader, writer = await asyncio.open_unix_connection(sock=end)
    return Channel(reader, writer, msgspec.msgpack.Decoder(ToWorker))
