"""What the admin listener's pages say of the node."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyproxy.admin import Answer, Asked, as_json
from pyproxy.metrics import Scrape
from pyproxy.slots import State

if TYPE_CHECKING:
    from pyproxy.supervisor import Supervisor


def pages(node: Supervisor, scrape: Scrape) -> dict[str, Callable[[Asked], Answer]]:
    """The pages by path."""

    def livez(_: Asked) -> Answer:
        return as_json(200, {"alive": True})

    def readyz(_: Asked) -> Answer:
        reasons = not_ready(node)
        return as_json(503 if reasons else 200, {"ready": not reasons, "reasons": reasons, **details(node)})

    def metrics(asked: Asked) -> Answer:
        body, content_type = scrape.render(asked.accept)
        return Answer(200, body, content_type)

    return {"/livez": livez, "/readyz": readyz, "/metrics": metrics}


def not_ready(node: Supervisor) -> list[str]:
    """Why no calls should be sent here now; empty if they may be."""
    reasons: list[str] = []
    if node.draining:
        reasons.append("draining")
    # One worker that is being replaced is no reason: its queue waits, and the others serve.
    if not any(slot.state is State.READY for slot in node.slots):
        reasons.append("no worker is ready")
    elif not all(slot.ready_once for slot in node.slots):
        reasons.append("workers are starting")
    replay = node.configuration.replay_state()
    if replay is not None:
        if not replay.clock_safe:
            reasons.append("clock-unsafe: the wall clock jumped, signed calls are refused")
        elif not replay.ready:
            reasons.append("replay-not-ready: signed calls are refused")
        if replay.fill_ratio >= 1:
            reasons.append("replay-full: signed calls are refused")
    return reasons


def details(node: Supervisor) -> dict[str, object]:
    """What somebody who looks into it wants to see at once."""
    configuration = node.configuration
    return {
        "workers": [
            {"worker": slot.index, "state": slot.state.value, "pid": slot.pid, "restarts": slot.restarts}
            for slot in node.slots
        ],
        "configuration": {
            "generation": configuration.reloadable.generation,
            "last_reload": "refused" if configuration.last_problems else "ok" if configuration.reloads else "none",
            "problems": configuration.last_problems,
        },
    }
