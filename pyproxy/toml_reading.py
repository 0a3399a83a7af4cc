"""From a parsed TOML document to frozen structs, with every mistake of a person collected instead of the first.

msgspec says what a struct looks like and converts plain values, but stops at its first error; so the document is walked
field by field here, each value converted on its own. What a plain type cannot say (a duration, an address) is said by a
[`Reading`] in the field's `Annotated`. A value that could not be read leaves [`UNREAD`] and the walk goes on.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Union, cast, get_args, get_origin

import msgspec

from pyproxy.toml_lines import Key, Lines

#: Longest piece of somebody's file that an error repeats, in characters.
CLIP = 64


#: Why a number or a truth value came as a string.
QUOTED = "likely cause: quotes that should not be there"


class Problem(NamedTuple):
    """One mistake in the file."""

    #: Where, as in `listener[0].bind`; empty for the file as a whole.
    path: str
    #: Line in the file, from 1, of the key or of the nearest table that holds it; None where it cannot be known.
    line: int | None
    #: What was expected, what came, and the likely cause.
    message: str


class Expected(ValueError):
    """A value is not what its place asks for. The walk adds what came, and where."""

    def __init__(self, expected: str, cause: str = "") -> None:
        super().__init__(expected)
        self.expected: Final = expected
        self.cause: Final = cause


class Reading(NamedTuple):
    """Put in `Annotated[T, Reading(f)]`: `f(value, directory_of_the_file)` makes the T, or raises [`Expected`]."""

    read: Callable[[object, Path], object]


class Unread:
    """The type of [`UNREAD`]."""


#: Stands where a value could not be read; a problem says why.
UNREAD: Final = Unread()


class Partial(NamedTuple):
    """An array of which some items could not be read: those are [`UNREAD`]."""

    items: tuple[object, ...]


class Reader:
    """Walks one document. `problems` grows; nothing is raised."""

    def __init__(self, base: Path, lines: Lines) -> None:
        self.problems: list[Problem] = []
        self._base = base
        self._lines = lines

    def refuse(self, path: tuple[Key, ...], message: str) -> None:
        """Notes a problem at `path`."""
        self.problems.append(Problem(shown_path(path), self._lines.find(path), message))

    def fields(
        self, type_: type[msgspec.Struct], table: Mapping[str, object], path: tuple[Key, ...]
    ) -> dict[str, object]:
        """Every field of the struct by its attribute name: its value, its default, [`UNREAD`] or a [`Partial`]."""
        fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
        for key in table.keys() - fields.keys():
            self.refuse((*path, key), f"unknown key{did_you_mean(key, list(fields))}")
        values: dict[str, object] = {}
        for key, field in fields.items():
            if key in table:
                values[field.name] = self.value(field.type, table[key], (*path, key))
            elif field.required:
                self.refuse((*path, key), "is required, but missing")
                values[field.name] = UNREAD
            elif field.default is not msgspec.NODEFAULT:
                values[field.name] = field.default
            else:
                values[field.name] = cast(Callable[[], object], field.default_factory)()
        return values

    def value(self, type_: Any, value: object, path: tuple[Key, ...]) -> object:
        """`value` as a `type_`, or [`UNREAD`], or for an array a [`Partial`]."""
        origin, arguments = get_origin(type_), get_args(type_)
        if origin in (Union, types.UnionType):
            # TOML has no null: `T | None` is a T that may be absent.
            (present,) = [argument for argument in arguments if argument is not types.NoneType]
            return self.value(present, value, path)
        if origin is tuple:
            return self._array(arguments[0], value, path)
        if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
            return self._struct(type_, value, path)
        try:
            return self._leaf(type_, value)
        except Expected as error:
            cause = f"; {error.cause}" if error.cause else ""
            self.refuse(path, f"expected {error.expected}, got {shown(value)}{cause}")
            return UNREAD

    def _leaf(self, type_: Any, value: object) -> object:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is Literal:
            return _choice(value, arguments)
        if origin is Annotated and isinstance(arguments[1], Reading):
            return arguments[1].read(value, self._base)
        return _plain(value, type_)

    def _struct(self, type_: type[msgspec.Struct], value: object, path: tuple[Key, ...]) -> object:
        if not isinstance(value, dict):
            self.refuse(path, f"expected a table, got {shown(value)}")
            return UNREAD
        values = self.fields(type_, cast(dict[str, object], value), path)
        if any(isinstance(value, Unread | Partial) for value in values.values()):
            return UNREAD
        try:
            return type_(**values)
        except Expected as error:  # from a `__post_init__` that looks at several fields together
            self.refuse(path, f"expected {error.expected}" + (f"; {error.cause}" if error.cause else ""))
            return UNREAD

    def _array(self, type_: Any, value: object, path: tuple[Key, ...]) -> object:
        if not isinstance(value, list):
            tables = isinstance(type_, type) and issubclass(type_, msgspec.Struct)
            what, cause = "an array", "likely cause: missing brackets, as in `[...]`"
            if tables:
                what, cause = "an array of tables", f"likely cause: single brackets; write `[[{shown_path(path)}]]`"
            self.refuse(path, f"expected {what}, got {shown(value)}; {cause}")
            return UNREAD
        items = tuple(self.value(type_, item, (*path, index)) for index, item in enumerate(cast(list[object], value)))
        return Partial(items) if any(isinstance(item, Unread | Partial) for item in items) else items


def _choice(value: object, choices: Sequence[object]) -> object:
    if any(value == choice and type(value) is type(choice) for choice in choices):
        return value
    names = [str(choice) for choice in choices]
    near = _nearest(str(value), names) if len(names) > 1 else None
    raise Expected(" or ".join(f"`{name}`" for name in names), f"did you mean `{near}`?" if near else "")


def _plain(value: object, type_: Any) -> object:
    try:
        return msgspec.convert(value, type_, strict=True)
    except msgspec.ValidationError as error:
        # msgspec says what it wanted before the comma, and names the type that came after it: we show the value.
        wanted = str(error).removeprefix("Expected ").split(", got")[0].split(" - at")[0]
    quoted = isinstance(value, str) and re.fullmatch(r"[0-9_]+|true|false", value)
    raise Expected(wanted, QUOTED if quoted else "")


def did_you_mean(name: object, known: Sequence[str]) -> str:
    """`; did you mean ...?` if something known is near, else what is known, if that is short."""
    near = _nearest(str(name), known)
    if near:
        return f"; did you mean `{near}`?"
    return f"; known here: {', '.join(f'`{one}`' for one in known)}" if len(known) <= 24 else ""


def _nearest(name: str, known: Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name[:CLIP], known, n=1, cutoff=0.6)), None)


def shown(value: object) -> str:
    """A value of somebody's file as an error repeats it: clipped, printable, in backticks."""
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case str():
            return f"`{clipped(value)}`" if value else "an empty string"
        case int():
            # Python refuses to print integers of thousands of digits; nobody wants to read them either.
            return f"`{value}`" if abs(value) < 10**CLIP else "an integer of absurd size"
        case list():
            return "an empty array" if not value else f"an array of {len(cast(list[object], value))}"
        case dict():
            return "a table"
        case _:
            return f"`{clipped(str(value))}`"


def clipped(text: str) -> str:
    """At most [`CLIP`] characters, with `...` where it was cut; what cannot be printed is escaped."""
    head = text[:CLIP] + ("..." if len(text) > CLIP else "")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in head)


def shown_path(path: tuple[Key, ...]) -> str:
    """`listener[0].bind`; a key that TOML would want quoted is quoted."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
            continue
        name = key if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", key) else f'"{clipped(key)}"'
        text += f".{name}" if text else name
    return text
