"""What an action of the core asks of the driver: the bits of `native/core/src/action.rs`, checked equal by a test.

An action is a tuple `(flags, to_downstream, to_upstream)`. Carry it out in this order: write downstream, let go of the
upstream connection, connect and write upstream, then end or pause. The upstream's index is above `INDEX_SHIFT`.
"""

from __future__ import annotations

from typing import Final

Action = tuple[int, bytes | None, bytes | None]

CONNECT: Final = 1
RESEND: Final = 1 << 1
RELEASE: Final = 1 << 2
ABORT: Final = 1 << 3
CLOSE: Final = 1 << 4
LINGER: Final = 1 << 5
RESET: Final = 1 << 6
AGAIN: Final = 1 << 7
PAUSE: Final = 1 << 8
RESUME: Final = 1 << 9
END_UPSTREAM: Final = 1 << 10
END_DOWNSTREAM: Final = 1 << 11
INDEX_SHIFT: Final = 16

# How an upstream connection failed a call: `UpstreamFailure` of native/core/src/exchange.rs.
NO_ENDPOINT: Final = 0
CONNECT_FAILED: Final = 1
CONNECT_TIMEOUT: Final = 2
PUSHBACK: Final = 3
CLOSED: Final = 4
BROKEN: Final = 5

# Whom a stalled connection waits for: `Blocked` of native/core/src/connection/end.rs.
BY_NOBODY: Final = 0
BY_UPSTREAM: Final = 1
BY_DOWNSTREAM: Final = 2
BY_POOL: Final = 3
