"""The promises of slo.toml, read strictly, and the judgement on what was measured."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.load.run import Measured
    from bench.ratio import Ratio

FILE = Path(__file__).with_name("slo.toml")
_T = TypeVar("_T", "RatioPromise", "TimePromise")


@dataclass(frozen=True)
class RatioPromise:
    """A measure of one set-up is at most so many times that of another, in one run."""

    name: str
    case: str
    measure: str
    subject: str
    rival: str
    at_most: float
    aim: float | None = None
    # Not kept yet: what it must not rise above meanwhile. The full form still judges by `at_most`.
    not_yet: float | None = None


@dataclass(frozen=True)
class TimePromise:
    """A benchmark of the core or the boundary takes at most so long."""

    name: str
    bench: str
    at_most_us: float
    source: Literal["core", "boundary"]
    # As for ratios.
    not_yet_us: float | None = None


@dataclass(frozen=True)
class Promises:
    """All of slo.toml."""

    ratios: tuple[RatioPromise, ...]
    times: tuple[TimePromise, ...]
    # What bounds are multiplied by in the short form.
    short_slack: float

    def cases(self) -> set[str]:
        return {promise.case for promise in self.ratios}

    def setups(self) -> set[str]:
        return {name for promise in self.ratios for name in (promise.subject, promise.rival)}


@dataclass(frozen=True)
class Verdict:
    """Whether one promise was kept."""

    promise: str
    measured: str
    bound: str
    kept: bool
    # Kept, but above what we would like.
    remark: str = ""

    def __str__(self) -> str:
        mark = "kept  " if self.kept else "MISSED"
        return f"{mark}  {self.promise}: {self.measured}, bound {self.bound}{self.remark}"


def read(file: Path = FILE) -> Promises:
    """Reads the promises; a misspelt one is an error, as it would be a promise that nobody checks."""
    content = tomllib.loads(file.read_text())
    slack = content.pop("short_slack")
    promises = Promises(
        tuple(_promise(RatioPromise, entry) for entry in content.pop("ratio", [])),
        tuple(_promise(TimePromise, entry) for entry in content.pop("time", [])),
        slack,
    )
    if content:
        raise ValueError(f"{file}: unknown entry `{next(iter(content))}`")
    return promises


def judge_ratio(promise: RatioPromise, measured: Measured, slack: float = 1.0) -> Verdict:
    """A bound is missed only if chance does not explain it (`Ratio.misses`)."""
    ratio: Ratio = measured.ratio(promise.subject, promise.rival, promise.measure)
    bound = promise.at_most * slack
    remark = f" (aim: {promise.aim:g})" if promise.aim is not None and ratio.median > promise.aim else ""
    if slack > 1 and promise.not_yet is not None and promise.not_yet > bound:
        bound = promise.not_yet
        remark = f" (the promise of {promise.at_most:g} is not kept yet)"
    ours, theirs = (measured.median(who, promise.measure) for who in (promise.subject, promise.rival))
    return Verdict(
        promise.name,
        f"{ratio} x ({ours:.1f} against {theirs:.1f} us)",
        f"{bound:.3g} x",
        not ratio.misses(bound),
        remark,
    )


def judge_time(promise: TimePromise, medians_us: Mapping[str, float], slack: float = 1.0) -> Verdict:
    """A benchmark that did not run is a promise not kept."""
    bound, remark = promise.at_most_us * slack, ""
    if slack > 1 and promise.not_yet_us is not None and promise.not_yet_us > bound:
        bound, remark = promise.not_yet_us, f" (the promise of {promise.at_most_us:g} us is not kept yet)"
    if promise.bench not in medians_us:
        return Verdict(promise.name, f"`{promise.bench}` did not run", f"{bound:g} us", kept=False)
    time_us = medians_us[promise.bench]
    return Verdict(promise.name, f"{time_us:.3f} us", f"{bound:g} us", time_us <= bound, remark)


def _promise(kind: type[_T], entry: dict[str, Any]) -> _T:
    known = {field.name for field in fields(kind)}
    if unknown := set(entry) - known:
        raise ValueError(f"promise `{entry.get('name', '?')}`: unknown key `{sorted(unknown)[0]}`")
    try:
        return kind(**entry)
    except TypeError as error:
        raise ValueError(f"promise `{entry.get('name', '?')}`: {error}") from None
