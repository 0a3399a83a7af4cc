"""What the connections of one listener share within a worker: the gate, the pools, the set of open connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from pyproxy._native import Connection, Gate
    from pyproxy.downstream import Downstream
    from pyproxy.pool import Pool


class Service:
    """One listener of one worker."""

    __slots__ = ("connections", "gate", "listener", "pools")

    def __init__(self, gate: Gate, listener: int, pools: list[Pool]) -> None:
        self.gate = gate
        self.listener = listener
        self.pools = pools
        """By the upstream's index; replaced in the same step as the gate's settings, so that indices always fit."""
        self.connections: set[Downstream] = set()

    def connected(self, downstream: Downstream, transport: asyncio.Transport) -> Connection:
        """A caller has connected."""
        self.connections.add(downstream)
        return self.gate.connect(self.listener, peer_of(transport))

    def disconnected(self, downstream: Downstream) -> None:
        """Its connection is gone."""
        self.connections.discard(downstream)


def peer_of(transport: asyncio.Transport) -> str:
    """`address:port` of the peer, IPv6 in brackets; `unix` for a Unix socket."""
    peer = transport.get_extra_info("peername")
    if not isinstance(peer, tuple):
        return "unix"
    host, port = peer[0], peer[1]  # pyright: ignore[reportUnknownVariableType]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
