"""The end of a worker: what is queued is accepted, what runs is finished, what is idle is closed; then time is up.

By now the supervisor has seen to it that no new connection begins (`listening.py`). Those whose handshake is complete
are ours: they wait in the queue, and closing the socket would reset them, so it stays open for a moment first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyproxy.events import log

if TYPE_CHECKING:
    from pyproxy._native import Gate
    from pyproxy.server import Listener

#: The queue is accepted for so long: handshakes that were under way complete within a round trip, the queue itself is
#: emptied in one turn of the loop.
ACCEPT_S = 0.25
#: How often connections are looked at for having become idle.
LOOK_S = 0.05


async def drain(gate: Gate, listeners: Sequence[Listener], timeout_s: float, *, accept_s: float = ACCEPT_S) -> None:
    """Returns when no connection is left, or after `timeout_s`, when those that are left have been ended."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    gate.drain()
    if accept_s > 0:
        await asyncio.sleep(min(accept_s, timeout_s))
    for listener in listeners:
        listener.stop()
    while loop.time() < end_s and _close_idle(listeners):  # noqa: ASYNC110 - nobody tells when a call has ended
        await asyncio.sleep(LOOK_S)
    left = [downstream for listener in listeners for downstream in listener.connections]
    if left:
        log.warning("drain timed out: calls are aborted", connections=len(left), drain_timeout_s=timeout_s)
        for downstream in left:
            downstream.end_drain()
        await asyncio.sleep(LOOK_S)  # their last bytes leave


def _close_idle(listeners: Sequence[Listener]) -> int:
    """Closes the connections that carry no call; how many are left."""
    for listener in listeners:
        for downstream in tuple(listener.connections):
            downstream.drain()
    return sum(len(listener.connections) for listener in listeners)
