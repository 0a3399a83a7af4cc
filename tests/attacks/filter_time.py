"""Replay filters over one file, and time that is passed."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Final

from pyproxy._native import ReplayFilter

MAX_AGE: Final = 30
SKEW: Final = 5
W: Final = MAX_AGE + 2 * SKEW
G: Final = W // 2
YEAR: Final = 365 * 24 * 3600

#: Seconds since 1970, and since boot, at which each test begins.
T0: Final = 1_800_000_000
UP: Final = 5_000
BOOT: Final = b"this boot's name"


def at(seconds: float, jump: int = 0) -> tuple[int, int]:
    """Seconds into the test by the boot clock, with a wall clock that someone set by `jump` seconds."""
    return int((T0 + seconds + jump) * 1e9), int((UP + seconds) * 1e9)


def supervisor(
    path: Path, now: tuple[int, int], *, capacity: int = 1000, vouched: bytes | None = None, boot: bytes = BOOT
) -> ReplayFilter:
    """Makes or trusts the file, as a start of the proxy does."""
    return ReplayFilter.create_or_open(
        str(path),
        capacity=capacity,
        max_age_s=MAX_AGE,
        clock_skew_s=SKEW,
        boot_id=boot,
        tag_key=secrets.token_bytes(32),
        fingerprint=vouched,
        now=now,
    )


def worker(path: Path, vouched: bytes, *, capacity: int = 1000) -> ReplayFilter:
    """Opens what the supervisor made."""
    return ReplayFilter.open(
        str(path), capacity=capacity, max_age_s=MAX_AGE, clock_skew_s=SKEW, boot_id=BOOT, fingerprint=vouched
    )


def clear(replay_filter: ReplayFilter, now: tuple[int, int]) -> str:
    """Lets the timer tick until nothing is due."""
    while (progress := replay_filter.clear_step(100_000, now=now)) == "cleared":
        pass
    return progress


def running(path: Path, *, capacity: int = 1000) -> tuple[ReplayFilter, int]:
    """A filter whose first fence is past, and the second at which that is so."""
    replay_filter = supervisor(path, at(0), capacity=capacity)
    clear(replay_filter, at(2 * W))
    return replay_filter, 2 * W


def refusal(
    replay_filter: ReplayFilter, now: tuple[int, int], created: int, nonce: bytes, key_id: bytes = b"k"
) -> str | None:
    """The reason's label, or None if the nonce was free (and is taken now)."""
    answer = replay_filter.claim(created, key_id, nonce, now=now)
    return answer if isinstance(answer, str) else None
