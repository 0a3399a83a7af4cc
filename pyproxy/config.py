"""Reading the config file: either a [`Config`] that is right in every respect that can be known before start, or one
[`ConfigError`] with every mistake in the file: where, on which line, what was expected, what came, the likely cause.

What the file can say is `config_sections.py`'s, how it is read `toml_reading.py`'s, what must hold between sections
`config_rules.py`'s; what the native core is told of it, and what a reload can change, `settings.py`'s.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from pyproxy import settings
from pyproxy.config_rules import problems_between, warnings
from pyproxy.config_sections import (
    AccessLog,
    Admin,
    Audit,
    Authenticate,
    Document,
    Health,
    Keys,
    Limits,
    Listener,
    Node,
    Replay,
    Route,
    Signature,
    Upstream,
)
from pyproxy.settings import restart_needed
from pyproxy.toml_lines import Lines
from pyproxy.toml_reading import UNREAD, Partial, Problem, Reader

__all__ = [
    "AccessLog",
    "Admin",
    "Audit",
    "Authenticate",
    "Config",
    "ConfigError",
    "Health",
    "Keys",
    "Limits",
    "Listener",
    "Node",
    "Problem",
    "Replay",
    "Route",
    "Signature",
    "Upstream",
    "load",
    "parse",
    "restart_needed",
]

#: No config file is larger: read whole, it must not fill the memory of a node.
MAX_FILE_BYTES: Final = 8 << 20


class ConfigError(Exception):
    """The file cannot be used. `problems` holds every mistake in it; `str()` is one line for each."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        self.path: Final = path
        self.problems: Final = tuple(sorted(problems, key=lambda problem: (problem.line or 0, problem.path)))
        super().__init__(str(self))

    def __str__(self) -> str:
        return "\n".join(
            f"{self.path}{f':{line}' if line else ''}: {f'{path}: ' if path else ''}{message}"
            for path, line, message in self.problems
        )


class Config(Document, frozen=True, kw_only=True):
    """The whole file, checked. Only [`load`] and [`parse`] make one."""

    def settings_json(self) -> bytes:
        """What the native core is told."""
        return settings.encode(self)

    def warnings(self) -> list[str]:
        """What the file allows that somebody should know of: said at every start and by `check`."""
        return warnings(self)


def load(path: str | os.PathLike[str]) -> Config:
    """Reads and checks the file.

    # Errors
    [`ConfigError`] with every problem.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(file, [Problem("", None, f"the config file cannot be read: {reason.lower()}")]) from None
    except ValueError as error:  # a NUL in the name
        raise ConfigError(file, [Problem("", None, f"the config file cannot be read: {error}")]) from None
    return parse(content, file)


def parse(content: bytes, path: Path) -> Config:
    """The config in `content`, the bytes of the file at `path`; nothing is read from disk.

    # Errors
    [`ConfigError`] with every problem.
    """
    document, source = _toml(content, path)
    # Not resolved further than needed: a symlinked directory stays the way the operator wrote it.
    reader = Reader(Path(os.path.abspath(path)).parent, Lines(source))  # noqa: PTH100
    values = reader.fields(Config, document, ())
    problems_between(values, reader.refuse)
    if reader.problems or any(value is UNREAD or isinstance(value, Partial) for value in values.values()):
        raise ConfigError(path, reader.problems)
    return cast(Callable[..., Config], Config)(**values)


def _toml(content: bytes, path: Path) -> tuple[dict[str, Any], str]:
    line: int | None = None
    if len(content) > MAX_FILE_BYTES:
        message = f"larger than {MAX_FILE_BYTES} bytes: not a config file of ours"
        raise ConfigError(path, [Problem("", None, message)])
    try:
        source = content.decode("utf-8")
        return tomllib.loads(source), source
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        message = f"not UTF-8, as TOML must be: byte {content[error.start]:#04x}"
    except RecursionError:
        message = "nested too deeply"
    except ValueError as error:  # TOMLDecodeError, or a number that Python refuses to read
        message, _, place = str(error).partition(" (at line ")
        line = int(place.split(",")[0]) if place else None
        message = f"not TOML: {message[0].lower()}{message[1:]}"
    raise ConfigError(path, [Problem("", line, message)])
