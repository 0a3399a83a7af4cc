"""The compiled core, as Python sees it."""

from collections.abc import Sequence
from types import ModuleType
from typing import Literal, TypedDict, final

Action = tuple[int, bytes | None, bytes | None]

class SignatureRefused(ValueError):
    """A signature was refused; `args` are the reason's label and the detail."""

def check_keys(jwks: bytes) -> tuple[list[tuple[str, str, str, str]], list[str], list[str]]:
    """Read a JWK Set as `serve` would.

    Returns keys as (kid, algorithm as in RFC 9421, principal, "secret" or "public"), errors, warnings.
    """

def sign_request(
    jwk: bytes,
    method: str,
    url: str,
    headers: Sequence[tuple[str | bytes, str | bytes]],
    body: bytes | None,
    components: list[str] | None,
    created: int,
    expires: int | None,
    nonce: str,
    label: str = "sig1",
) -> list[tuple[str, str]]:
    """Sign a request with one private JWK; returns the fields to add.

    These are Content-Digest (if there is a body and no such field), Signature-Input and Signature. `components` are
    identifiers such as `@method` or `@query-param;name="id"`; None means `@method @authority @path @query`.
    content-digest is added if there is a body. A Content-Digest among `headers` must be that of `body`; with None it is
    taken at its word, for content that is sent in pieces. Times are seconds since 1970. Raises ValueError.
    """

def verify_request(
    jwks: bytes,
    method: str,
    url: str,
    headers: Sequence[tuple[str | bytes, str | bytes]],
    body: bytes | None,
    now: int,
    *,
    require: list[str] | None = None,
    require_if_present: list[str] | None = None,
    max_age: int = 30,
    clock_skew: int = 5,
    allow_rsa_v1_5: bool = False,
) -> tuple[str, str, bytes, int]:
    """Verify a request as a gate would, without the replay filter: (key id, principal, nonce, created).

    Raises SignatureRefused, or ValueError for keys and rules that cannot be used.
    """

class ReplayTableStatus(TypedDict):
    generation: int
    open: bool
    fill: int
    uncleared_slots: int

class ReplayStatus(TypedDict):
    capacity: int
    slots_per_table: int
    bytes: int
    window_s: int
    generation_s: int
    fence: int
    floor: int
    clock_safe: bool
    ready: bool
    claims: int
    tables: list[ReplayTableStatus]

@final
class ReplayClaim:
    """A nonce that is ours; dropping it keeps the nonce taken."""

    @property
    def probes(self) -> int: ...

@final
class ReplayFilter:
    """The replay filter that all workers of a node share.

    `now`, where it can be passed, is (nanoseconds since 1970, nanoseconds since boot).
    """

    @staticmethod
    def create_or_open(
        path: str,
        *,
        capacity: int,
        max_age_s: int,
        clock_skew_s: int,
        boot_id: bytes,
        tag_key: bytes,
        fingerprint: bytes | None,
        now: tuple[int, int] | None = None,
    ) -> ReplayFilter: ...
    @staticmethod
    def open(
        path: str, *, capacity: int, max_age_s: int, clock_skew_s: int, boot_id: bytes, fingerprint: bytes
    ) -> ReplayFilter: ...
    @staticmethod
    def in_memory(
        *, capacity: int, max_age_s: int, clock_skew_s: int, tag_key: bytes, now: tuple[int, int] | None = None
    ) -> ReplayFilter: ...
    @staticmethod
    def memory_bytes(capacity: int) -> int: ...
    @property
    def fingerprint(self) -> bytes: ...
    @property
    def fresh_because(self) -> str | None: ...
    def slots_per_step(self, interval_ms: int) -> int: ...
    def clear_step(
        self, max_slots: int, *, now: tuple[int, int] | None = None
    ) -> Literal["ready", "cleared", "elsewhere", "clock-unsafe"]: ...
    def claim(
        self, created: int, key_id: bytes, nonce: bytes, *, now: tuple[int, int] | None = None
    ) -> ReplayClaim | str: ...
    def release(self, claim: ReplayClaim) -> bool: ...
    def status(self, *, now: tuple[int, int] | None = None) -> ReplayStatus: ...

class Refused(Exception):
    """A call was refused; `args` are reason, status, detail, seconds to retry after, fields and body of the answer."""

@final
class Gate:
    """The gates of one worker: settings, keys and routes in force together, and what its connections share."""

    def __new__(
        cls,
        settings: bytes,
        keys: bytes | None,
        *,
        seed: bytes,
        replay: ReplayFilter | None = None,
        metrics: Metrics | None = None,
        access_log: AccessLog | None = None,
    ) -> Gate:
        """Compile `settings` (JSON) and `keys` (a JWK Set); `seed` is 16 fresh random bytes, for identifiers.

        Raises ValueError with one line for each mistake.
        """

    def reload(self, settings: bytes, keys: bytes | None) -> None:
        """Put other settings and keys in force, between two events; on ValueError nothing has changed."""

    def connect(self, listener: int, peer: str) -> Connection:
        """A connection that this listener accepted from `peer`: `address:port`, or `unix`."""

    def admit(
        self,
        listener: int,
        method: str,
        target: str,
        fields: Sequence[tuple[bytes, bytes]],
        body: bytes | None,
        now: tuple[int, int] | None = None,
    ) -> tuple[str | None, str | None, str]:
        """Judge one call that an embedder has read: (principal, key id, freshness). Raises Refused.

        `now` is (nanoseconds since 1970, nanoseconds since boot), by default the clocks'.
        """

    def body_too_large(self, max_bytes: int) -> tuple[str, int, str, int | None, list[tuple[str, str]], bytes]:
        """What Refused says of a body that an embedder stops reading after `max_bytes`."""

    def drain(self) -> None:
        """From now on, every answer ends its connection."""

    @property
    def held_bytes(self) -> int:
        """Bytes of bodies that are held for their digest."""

@final
class Connection:
    """One downstream connection. Each method is one event, and returns what to do (`flags.py`), or None."""

    def receive_data(self, data: bytes) -> Action | None:
        """The caller sent this; empty: go on with what waited."""

    def receive_response(self, data: bytes) -> Action | None:
        """The upstream connection of the call under way sent this."""

    def receive_eof(self) -> Action | None:
        """The caller sent FIN."""

    def upstream_failed(self, failure: int, written: bool, reused: bool) -> Action | None:
        """The upstream connection is gone, or none could be had."""

    def lost(self) -> Action | None:
        """The connection to the caller is gone."""

    def check_timeout(self, blocked: int) -> Action | None:
        """End what has lasted too long."""

    def progressed(self) -> None:
        """A stalled side has moved again."""

    def end_drain(self, written: bool) -> Action | None:
        """The drain's time is up."""

    def is_idle(self) -> bool:
        """Whether no call is under way."""

@final
class Metrics:
    """One worker slot's numbers, in memory that the supervisor reads."""

    SIZE_BYTES: int
    PHASES: tuple[str, ...]
    BOUNDS_NS: tuple[int, ...]
    number_names: list[str]

    def __new__(cls, fd: int, listeners: list[str]) -> Metrics:
        """Map the memory behind `fd` and take it over as the slot's only writer."""

    def add(self, number: int, more: int) -> None:
        """Add to the number of this index."""

    def set(self, number: int, value: int) -> None:
        """Set the number of this index."""

@final
class MetricsReader:
    """One slot's numbers, to be read only."""

    def __new__(cls, fd: int) -> MetricsReader:
        """Map the memory behind `fd`."""

    def read_numbers(self) -> list[int]:
        """Every number, in the order of `Metrics.number_names`."""

    def read_calls(self) -> list[tuple[str, str, int, str, int, int, int]]:
        """Listener, route, status, reason, calls, body bytes in, body bytes out."""

    def read_phases(self) -> list[tuple[str, str, list[tuple[list[int], int]]]]:
        """Listener, route, and for each phase its bucket counts and the sum in nanoseconds."""

@final
class AccessLog:
    """The access log lines of one worker that wait to be written."""

    def __new__(cls, listeners: list[str], max_bytes: int) -> AccessLog:
        """At most `max_bytes` wait; what does not fit is dropped and counted."""

    def take(self) -> tuple[bytes, int]:
        """Whole lines that wait, and how many were dropped since the last time."""

    def waiting_bytes(self) -> int:
        """Bytes that wait."""

compiled: dict[str, ModuleType]
"""The protocol modules in compiled form, by name; empty if they were not built in."""
