"""What a config file can say: every section, every key, every default, as frozen structs.

Attribute names carry units (`head_timeout_s`), keys in the file do not (`head_timeout = "10s"`). Paths in the file are
relative to its directory; here they are joined with it. How values are read is `toml_reading.py`'s.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final, Literal, cast

import msgspec

from pyproxy.addresses import BIND, ENDPOINT, LOCAL_BIND, Address
from pyproxy.patterns import COMPONENT, FIELD_NAME, HOST, HOST_PATTERN, NAME, PATH_PATTERN, TARGET
from pyproxy.quantities import duration, size, whole_seconds
from pyproxy.toml_reading import QUOTED, Expected, Reading, clipped, did_you_mean

_KIB, _MIB, _GIB = 1 << 10, 1 << 20, 1 << 30
Count = Annotated[int, msgspec.Meta(ge=1, le=10_000_000)]


class Authenticate(msgspec.Struct, frozen=True):
    """Which credentials a call must present: all of them, or any one. None at all: nothing is verified."""

    mode: Literal["all", "any"] = "all"
    credentials: tuple[str, ...] = ()


#: Kinds of credential that exist.
CREDENTIALS: Final = ("signature",)


def _authenticate(value: object, _: Path) -> Authenticate:
    expected = 'a list like `["signature"]`, `{ any = ["signature"] }`, or `[]` to verify nothing'
    mode: Literal["all", "any"] = "all"
    if isinstance(value, dict):
        table = cast(dict[str, object], value)
        if table.keys() != {"any"}:
            raise Expected(expected, "the table has one key, `any`; a plain list asks for all of its credentials")
        mode, value = "any", table["any"]
        if value == []:
            raise Expected(expected, "any of nothing can never be presented")
    if not isinstance(value, list):
        raise Expected(expected, "likely cause: missing brackets" if value in CREDENTIALS else "")
    credentials = cast(list[object], value)
    for credential in credentials:
        if credential not in CREDENTIALS:
            unknown = clipped(str(credential))
            raise Expected(expected, f"credential `{unknown}` is unknown{did_you_mean(unknown, CREDENTIALS)}")
    if len(set(credentials)) < len(credentials):
        raise Expected(expected, "a credential stands there twice")
    return Authenticate(mode, tuple(str(credential) for credential in credentials))


def _workers(value: object, _: Path) -> int:
    if value == "auto":
        return len(os.sched_getaffinity(0))
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1024:
        return value
    quoted = isinstance(value, str) and value.isdecimal()
    raise Expected('a whole number from 1 to 1024, or `"auto"` for one per core', QUOTED if quoted else "")


def _file(value: object, base: Path) -> Path:
    if isinstance(value, str) and value and "\0" not in value:
        return base / value
    raise Expected("the path of a file")


def _log(value: object, base: Path) -> str:
    return "-" if value == "-" else str(_file(value, base))


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[node]`."""

    #: Pseudonym in `Via` and `Forwarded`.
    name: Annotated[str, NAME]
    #: Holds the replay filter, unless a memory file system does, and the lock against a second instance.
    state_dir: Annotated[Path, Reading(_file)]
    #: Worker processes.
    workers: Annotated[int, Reading(_workers)] = msgspec.field(default_factory=lambda: len(os.sched_getaffinity(0)))


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[keys]`: who may sign. Needed as soon as a listener asks for signatures."""

    #: JWK Set (RFC 7517).
    file: Annotated[Path, Reading(_file)]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[signature]` (RFC 9421)."""

    #: Covered components of every signature; `content-digest` besides, whenever there is a body.
    require: tuple[Annotated[str, COMPONENT], ...] = ("@method", "@authority", "@path", "@query")
    #: Fields that must be covered when the request has them.
    require_if_present: tuple[Annotated[str, FIELD_NAME], ...] = ()
    #: An older signature is refused.
    max_age_s: Annotated[int, whole_seconds("1s", "24h")] = msgspec.field(default=30, name="max_age")
    #: How far a caller's clock may be off.
    clock_skew_s: Annotated[int, whole_seconds("0s", "1h")] = msgspec.field(default=5, name="clock_skew")
    #: What happens to fields that the signature does not cover.
    uncovered: Literal["forward", "strip"] = "forward"
    #: `rsa-v1_5-sha256`; off because new applications should use PSS (RFC 8017 section 8).
    allow_rsa_v1_5: bool = False


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[replay]`."""

    #: Signed calls per acceptance window (max_age + 2 x clock_skew). 64 bytes of shared memory for each.
    capacity: Annotated[int, msgspec.Meta(ge=1, le=1 << 30)] = 1_000_000
    #: Where the filter lies; by default in a memory file system if one has room, else in the state directory.
    path: Annotated[Path, Reading(_file)] | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[limits]`: bounds on one connection and one call."""

    #: Request line and fields. nginx: 4 x 8 KiB.
    max_head_bytes: Annotated[int, size(1 * _KIB, 1 * _MIB)] = 32 * _KIB
    #: Fields in a head. Envoy: 100.
    max_fields: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    #: Request target. nginx: 8 KiB.
    max_target_bytes: Annotated[int, size(64, 1 * _MIB)] = 8 * _KIB
    #: Request body; 0 for no limit.
    max_body_bytes: Annotated[int, size(0, 1 << 62)] = 1 * _GIB
    #: A body whose digest is covered is held until verified, up to this; a larger one streams, its end withheld.
    max_held_body_bytes: Annotated[int, size(0, 1 * _GIB)] = 1 * _MIB
    #: Held bodies of all calls of one worker.
    max_held_worker_bytes: Annotated[int, size(0, 1 << 40)] = 64 * _MIB
    #: From a head's first byte to its last.
    head_timeout_s: Annotated[float, duration("10ms", "1h")] = msgspec.field(default=10.0, name="head_timeout")
    #: A request body without progress.
    body_timeout_s: Annotated[float, duration("10ms", "24h")] = msgspec.field(default=60.0, name="body_timeout")
    #: A kept-alive connection without a call.
    idle_timeout_s: Annotated[float, duration("10ms", "24h")] = msgspec.field(default=75.0, name="idle_timeout")
    #: From a request's last byte to its response head's last.
    response_head_timeout_s: Annotated[float, duration("10ms", "24h")] = msgspec.field(
        default=60.0, name="response_head_timeout"
    )
    #: A response body without progress.
    response_body_timeout_s: Annotated[float, duration("10ms", "24h")] = msgspec.field(
        default=60.0, name="response_body_timeout"
    )
    #: A tunnel (WebSocket) in which nothing moves. Envoy `stream_idle_timeout`: 300 s.
    tunnel_idle_timeout_s: Annotated[float, duration("10ms", "168h")] = msgspec.field(
        default=300.0, name="tunnel_idle_timeout"
    )
    #: How long running calls may take after SIGTERM.
    drain_timeout_s: Annotated[float, duration("0s", "24h")] = msgspec.field(default=30.0, name="drain_timeout")

    def __post_init__(self) -> None:
        if self.max_held_body_bytes > self.max_held_worker_bytes:
            raise Expected("`max_held_body_bytes` to be at most `max_held_worker_bytes`")
        if self.max_target_bytes > self.max_head_bytes:
            raise Expected("`max_target_bytes` to be at most `max_head_bytes`", "the target is part of the head")


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[listener]]`."""

    #: In logs and metrics.
    name: Annotated[str, NAME]
    #: Where it listens.
    bind: Annotated[Address, BIND]
    #: Required: a gate that asks nothing must be asked for.
    authenticate: Annotated[Authenticate, Reading(_authenticate)]
    #: `claimed`: each signature's nonce passes once. `none`: replays pass. By default what `authenticate` can give.
    freshness_asked: Literal["claimed", "none"] | None = msgspec.field(default=None, name="freshness")
    #: Required: that everything is permitted must be said.
    authorize: Literal["allow_all"]
    #: Scheme that callers use: `https` where something before us ends TLS.
    external_scheme: Literal["http", "https"] = "http"
    #: Per worker.
    max_connections: Count = 10_000
    #: Connections that the kernel queues for one worker (listen(2)); the kernel caps it at net.core.somaxconn.
    backlog: Annotated[int, msgspec.Meta(ge=1, le=65_535)] = 4096

    def __post_init__(self) -> None:
        if self.freshness_asked == "claimed" and not self.authenticate.credentials:
            raise Expected("a credential in `authenticate`", "without a signature there is no nonce to claim")

    @property
    def freshness(self) -> Literal["claimed", "none"]:
        """How a call is known to be no replay."""
        return self.freshness_asked or ("claimed" if self.authenticate.credentials else "none")

    @property
    def asks_for_signatures(self) -> bool:
        """Whether keys are needed."""
        return "signature" in self.authenticate.credentials


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """`health` of an upstream: each worker asks each endpoint; any 2xx or 3xx answer is well."""

    path: Annotated[str, TARGET]
    #: `Host` of the question; by default the endpoint.
    host: Annotated[str, HOST] | None = None
    interval_s: Annotated[float, duration("10ms", "1h")] = msgspec.field(default=5.0, name="interval")
    timeout_s: Annotated[float, duration("10ms", "1h")] = msgspec.field(default=1.0, name="timeout")
    #: Failures in a row.
    unhealthy_after: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 3
    #: Successes in a row.
    healthy_after: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 2

    def __post_init__(self) -> None:
        if self.timeout_s > self.interval_s:
            raise Expected("`timeout` to be at most `interval`", "or questions would overlap")


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[upstream]]`."""

    #: In logs and metrics; routes name it.
    name: Annotated[str, NAME]
    #: The one with the fewest outstanding calls is chosen.
    endpoints: tuple[Annotated[Address, ENDPOINT], ...]
    connect_timeout_s: Annotated[float, duration("10ms", "5m")] = msgspec.field(default=3.0, name="connect_timeout")
    #: Calls that may wait for a connection, per worker; one more is refused with 503. 0: nobody waits.
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 1024
    #: Connections per worker; by default as many as calls need.
    max_connections: Count | None = None
    #: Connections kept open without a call, per endpoint and worker.
    max_idle: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 128
    #: A connection without a call is closed after this; best below the upstream's own.
    idle_timeout_s: Annotated[float, duration("10ms", "24h")] = msgspec.field(default=60.0, name="idle_timeout")
    #: Connection failures in a row after which an endpoint is not chosen for a while; 0 for never.
    eject_after: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5
    eject_for_s: Annotated[float, duration("10ms", "1h")] = msgspec.field(default=10.0, name="eject_for")
    #: At most this part of the endpoints is ejected at a time.
    max_ejected_percent: Annotated[int, msgspec.Meta(ge=0, le=100)] = 50
    #: How often host names are resolved again.
    resolve_interval_s: Annotated[float, duration("1s", "24h")] = msgspec.field(default=30.0, name="resolve_interval")
    health: Health | None = None

    def __post_init__(self) -> None:
        if not self.endpoints:
            raise Expected("at least one endpoint")
        if len(set(self.endpoints)) < len(self.endpoints):
            raise Expected("every endpoint once", "the least busy one is chosen: naming one twice gives it no weight")


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[route]]`. Host: exact, then longest suffix, then `*`; path: exact, then longest prefix."""

    host: Annotated[str, HOST_PATTERN]
    path: Annotated[str, PATH_PATTERN]
    #: Name of an upstream.
    upstream: str
    #: In logs and metrics; by default host and path.
    name_asked: Annotated[str, NAME] | None = msgspec.field(default=None, name="name")
    #: `Host` that the upstream is told instead of the caller's.
    upstream_host: Annotated[str, HOST] | None = None
    #: When a call may be sent once more after its connection closed before any response byte. `safe`: methods of
    #: RFC 9110 section 9.2.1; `idempotent`: PUT and DELETE too.
    retry: Literal["never", "safe", "idempotent"] = "safe"

    @property
    def name(self) -> str:
        """Its name in logs and metrics."""
        return self.name_asked or self.host + self.path


class Admin(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[admin]`: `/livez`, `/readyz`, `/metrics`. Absent: no admin listener."""

    #: Loopback or a Unix socket: it asks nobody who they are.
    bind: Annotated[Address, LOCAL_BIND]


class AccessLog(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[access_log]`: one JSON line per call. Absent: none."""

    #: A file's path, or `-` for standard output.
    path: Annotated[str, Reading(_log)]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """Section `[audit]`. Nothing but `off` exists yet, which is also what its absence means; said at every start."""

    durability: Literal["off"]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file."""

    node: Node
    keys: Keys | None = None
    signature: Signature = Signature()
    replay: Replay = Replay()
    limits: Limits = Limits()
    admin: Admin | None = None
    access_log: AccessLog | None = None
    audit: Audit = Audit(durability="off")
    listeners: tuple[Listener, ...] = msgspec.field(name="listener")
    upstreams: tuple[Upstream, ...] = msgspec.field(default=(), name="upstream")
    routes: tuple[Route, ...] = msgspec.field(default=(), name="route")

    @property
    def asks_for_signatures(self) -> bool:
        """Whether any listener does: then keys and the replay filter are needed."""
        return any(listener.asks_for_signatures for listener in self.listeners)

    @property
    def claims_nonces(self) -> bool:
        """Whether the replay filter is needed."""
        return any(listener.freshness == "claimed" for listener in self.listeners)
