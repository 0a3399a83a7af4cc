"""Durations (`"30s"`, `"500ms"`, `"5m"`) and sizes (`32768`, `"32KiB"`) of the config file, parsed once.

Inside, a duration is seconds as a float and a size is bytes as an int; the attribute's name carries the unit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from pyproxy.toml_reading import Expected, Reading

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h)", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]{1,15})(B|KiB|MiB|GiB)", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds. Raises [`Expected`] if `text` is no duration."""
    duration = _DURATION.fullmatch(text)
    if duration is None:
        cause = ""
        if re.fullmatch(r"[0-9.]+", text):
            cause = f'likely cause: no unit; write `"{text[:16]}s"` for seconds'
        elif re.fullmatch(r"([0-9]+[a-z]+){2,}", text):
            cause = "likely cause: two units; write one, as in `90s` for a minute and a half"
        raise Expected('a duration like `"30s"` (ms, s, m, h)', cause)
    # Seconds in thousandths are exact enough for a timer and print as written: 0.5, not 0.5000000000000001.
    return round(float(duration[1]) * _SECONDS[duration[2]], 6)


def parse_size(value: object) -> int:
    """Bytes. Raises [`Expected`] if `value` is no size."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    size = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if size is None:
        cause = ""
        if isinstance(value, str) and re.fullmatch(r"[0-9]+ ?([kKmMgG][bB]?|)", value):
            cause = "likely cause: the unit; sizes are in B, KiB, MiB or GiB"
        raise Expected('a size in bytes like `32768` or `"32KiB"` (B, KiB, MiB, GiB)', cause)
    return int(size[1]) * _BYTES[size[2]]


def duration(at_least: str, at_most: str) -> Reading:
    """A duration within bounds, in seconds (float)."""
    low, high = parse_duration(at_least), parse_duration(at_most)

    def read(value: object, _: Path) -> float:
        seconds = parse_duration(_text(value))
        if not low <= seconds <= high:
            raise Expected(f"a duration from `{at_least}` to `{at_most}`")
        return seconds

    return Reading(read)


def whole_seconds(at_least: str, at_most: str) -> Reading:
    """A duration within bounds of a whole number of seconds (int): what RFC 9421 dates signatures by."""
    bounded = duration(at_least, at_most)

    def read(value: object, base: Path) -> int:
        seconds = float(str(bounded.read(value, base)))
        if seconds != int(seconds):
            raise Expected("a whole number of seconds", "signatures are dated in whole seconds (RFC 9421 section 2.3)")
        return int(seconds)

    return Reading(read)


def size(at_least: int, at_most: int) -> Reading:
    """A size within bounds, in bytes (int)."""

    def read(value: object, _: Path) -> int:
        bytes_ = parse_size(value)
        if not at_least <= bytes_ <= at_most:
            raise Expected(f"a size from {shown_size(at_least)} to {shown_size(at_most)}")
        return bytes_

    return Reading(read)


def shown_size(bytes_: int) -> str:
    """`64 MiB`, `1.5 GiB`, `100 B`."""
    for unit in ("GiB", "MiB", "KiB"):
        if bytes_ >= _BYTES[unit]:
            return f"{bytes_ / _BYTES[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{bytes_} B"


def shown_duration(seconds: float) -> str:
    """`30s`, `0.5s`: for people."""
    return f"{seconds:g}s"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    cause = ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        cause = "likely cause: no unit; write it with one and in quotes"
    raise Expected('a duration like `"30s"` (ms, s, m, h)', cause)
