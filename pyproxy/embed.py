"""The gates as a module: another program reads the requests, and asks here whether they may go on.

    from pyproxy import Gate, Rejection

    with Gate.from_config("pyproxy.toml") as gate:
        admission = gate.admit("GET", "/v1/orders", headers)   # or Rejection is raised

The same core as in the proxy: what it would refuse is refused here, with the same answer. Routes and upstreams of the
config play no part. Processes that embed a gate with the same state directory share one replay filter, with each other
and with a proxy that runs there: a call that one has seen, no other lets pass.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self, cast

from pyproxy import _native, config, keyring, replayfile

CLEAR_INTERVAL_S = 0.05

Fields = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]


class Admission(NamedTuple):
    """A call that may go on."""

    principal: str | None
    """SPIFFE ID of the caller; None where the listener verifies nothing."""
    key_id: str | None
    freshness: str
    """`claimed`, or `waived` where config asks for no freshness."""


class Rejection(Exception):
    """A call that may not go on."""

    def __init__(  # noqa: PLR0917 (the binding's `Refused` has them in this order)
        self,
        reason: str,
        status: int,
        detail: str,
        retry_after_s: int | None,
        headers: list[tuple[str, str]],
        body: bytes,
    ) -> None:
        super().__init__(f"{status} {reason}: {detail}")
        self.reason = reason
        """Stable: problem type, metric label."""
        self.status = status
        """HTTP status code."""
        self.detail = detail
        """For the log; the caller is not told all of it."""
        self.retry_after_s = retry_after_s
        self.headers = headers
        """Of the answer, without Content-Length."""
        self.body = body
        """Of the answer: problem details (RFC 9457)."""


class Gate:
    """Judges calls under one listener of a config file. Safe for threads."""

    def __init__(self, path: str | os.PathLike[str], listener: str | None = None) -> None:
        """See `from_config`."""
        self._path = path
        self._config = config.load(path)
        names = [each.name for each in self._config.listeners]
        if listener is not None and listener not in names:
            raise ValueError(f"listener: no listener `{listener}` in {path}; there are {', '.join(names)}")
        self._listener = 0 if listener is None else names.index(listener)
        self._lock: replayfile.StateLock | None = None
        self._ended = threading.Event()
        replay = self._open_replay() if self._config.claims_nonces else None
        self._native = _native.Gate(
            self._config.settings_json(), self._keys(), seed=secrets.token_bytes(16), replay=replay
        )
        if replay is not None:
            threading.Thread(target=self._clear, args=(replay,), name="pyproxy-clearing", daemon=True).start()

    @classmethod
    def from_config(cls, path: str | os.PathLike[str], *, listener: str | None = None) -> Self:
        """The gates of this listener, by default the first. Raises ConfigError, KeyFileError, OSError, ValueError."""
        return cls(path, listener)

    def admit(
        self, method: str, target: str, headers: Fields, body: bytes | None = None, now: float | None = None
    ) -> Admission:
        """Judges one call; raises `Rejection`.

        `target` is path and query as they were sent, `headers` has `Host`, `body` is the whole content. `now` is for
        tests, in seconds since 1970.
        """
        pairs = cast("Iterable[tuple[str | bytes, str | bytes]]", getattr(headers, "items", lambda: headers)())
        fields = [(_bytes(name), _bytes(value)) for name, value in pairs]
        at = None if now is None else _as_if(int(now * 1e9))
        try:
            return Admission(*self._native.admit(self._listener, method, target, fields, body, at))
        except _native.Refused as refused:
            raise Rejection(*refused.args) from None

    def body_too_large(self) -> Rejection:
        """For a body that the embedder has stopped reading, because it is larger than `max_body_bytes`."""
        return Rejection(*self._native.body_too_large(self.max_body_bytes))

    @property
    def max_body_bytes(self) -> int:
        """The largest body that an embedder should read before it asks: what the proxy would hold."""
        return self._config.limits.max_held_body_bytes

    def reload(self) -> None:
        """Puts the files in force as they are now; if they cannot be used, raises, and nothing has changed.

        Raises ValueError for what only a new gate can change.
        """
        new = config.load(self._path)
        fixed = config.restart_needed(self._config, new)
        if fixed:
            raise ValueError(f"only a new gate can change {', '.join(fixed)}")
        before, self._config = self._config, new
        try:
            self._native.reload(new.settings_json(), self._keys())
        except BaseException:
            self._config = before
            raise

    def close(self) -> None:
        """Gives up the replay filter; `admit` must not be called any more."""
        self._ended.set()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keys(self) -> bytes | None:
        if not self._config.asks_for_signatures or self._config.keys is None:
            return None
        return keyring.load_verifying(self._config.keys.file).jwk_set

    def _open_replay(self) -> _native.ReplayFilter:
        settings = self._config
        state_dir = settings.node.state_dir
        terms = {
            "capacity": settings.replay.capacity,
            "max_age_s": settings.signature.max_age_s,
            "clock_skew_s": settings.signature.clock_skew_s,
        }
        try:
            self._lock = replayfile.StateLock(state_dir)
        except replayfile.StateDirectoryInUse:
            return replayfile.join(state_dir, **terms)
        return replayfile.prepare(state_dir, settings.replay.path, **terms).filter

    def _clear(self, replay: _native.ReplayFilter) -> None:
        """Keeps the filter's tables ready, as a worker's timer does."""
        slots = replay.slots_per_step(round(CLEAR_INTERVAL_S * 1000))
        while not self._ended.wait(CLEAR_INTERVAL_S):
            replay.clear_step(slots)


def _as_if(unix_ns: int) -> tuple[int, int]:
    """Both clocks as if that time had come: the wall clock has not jumped, time has passed (or is yet to)."""
    return unix_ns, max(0, time.clock_gettime_ns(time.CLOCK_BOOTTIME) + unix_ns - time.time_ns())


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
