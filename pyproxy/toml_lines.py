"""Which line of a TOML document a key stands on, for error messages.

tomllib parses, but does not say where anything stood. This scanner runs after it, over a document that is known to be
valid TOML 1.0, and so only has to tell keys from values: headers, keys at the start of a line, and how far a value
reaches (strings, brackets, comments). Keys inside an inline table are not located: they get the line of the key that
holds them, which is where the inline table begins. A line that it cannot make sense of ends the scan: a missing line
number is better than a wrong one.
"""

from __future__ import annotations

import re
from typing import Final

Key = str | int

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_BLANK: Final = re.compile(r"[ \t]*")
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)")
_ESCAPES: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "\\": "\\"}
#: The four kinds of string, the longer delimiters first. A multi-line one may end in up to two quotes of its own.
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"""(?:"{0,2})' r"|'''.*?'''(?:'{0,2})" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)


class Lines:
    """Line numbers by path."""

    def __init__(self, source: str) -> None:
        self._found: dict[tuple[Key, ...], int] = {}
        _Scan(source.replace("\r\n", "\n"), self._found).document()

    def find(self, path: tuple[Key, ...]) -> int | None:
        """Line, from 1, of the key at `path`, or of the nearest thing around it that has one; None if nothing has."""
        for end in range(len(path), 0, -1):
            line = self._found.get(path[:end])
            if line is not None:
                return line
        return None


class _Lost(Exception):
    """The scanner and tomllib disagree about the document."""


class _Scan:
    def __init__(self, source: str, found: dict[tuple[Key, ...], int]) -> None:
        self._source = source
        self._found = found
        self._at = 0
        self._line = 1
        #: How many tables each array of tables has so far, by the path of the array.
        self._counts: dict[tuple[Key, ...], int] = {}

    def document(self) -> None:
        table: tuple[Key, ...] = ()
        try:
            while self._at < len(self._source):
                self._blank()
                match self._peek():
                    case "" | "\n" | "#":
                        pass
                    case "[":
                        table = self._header()
                    case _:
                        self._note((*table, *self._dotted_key()))
                        self._expect("=")
                        self._skip_value()
                self._end_of_line()
        except _Lost:
            return

    def _header(self) -> tuple[Key, ...]:
        array = self._source.startswith("[[", self._at)
        self._at += 2 if array else 1
        path: tuple[Key, ...] = ()
        keys = self._dotted_key()
        for position, key in enumerate(keys):
            path = (*path, key)
            last = position == len(keys) - 1
            if last and array:
                self._counts[path] = self._counts.get(path, 0) + 1
            if path in self._counts:
                self._found.setdefault(path, self._line)
                path = (*path, self._counts[path] - 1)
        self._note(path)
        self._expect("]]" if array else "]")
        return path

    def _note(self, path: tuple[Key, ...]) -> None:
        """Remembers where `path` stands, and where the tables that it opens begin."""
        for end in range(1, len(path) + 1):
            self._found.setdefault(path[:end], self._line)

    def _dotted_key(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._blank()
            if bare := _BARE.match(self._source, self._at):
                keys.append(bare.group())
                self._at = bare.end()
            elif (quoted := _STRING.match(self._source, self._at)) and "\n" not in quoted.group():
                text = quoted.group()
                keys.append(_unescaped(text[1:-1]) if text[0] == '"' else text[1:-1])
                self._at = quoted.end()
            else:
                raise _Lost
            self._blank()
            if self._peek() != ".":
                return keys
            self._at += 1

    def _skip_value(self) -> None:
        depth = 0
        while self._at < len(self._source):
            character = self._peek()
            if character in "\"'":
                string = _STRING.match(self._source, self._at)
                if string is None:
                    raise _Lost
                self._line += string.group().count("\n")
                self._at = string.end()
                continue
            if character == "#":
                self._comment()
                continue
            if character == "\n":
                if depth == 0:
                    return
                self._line += 1
            depth += (character in "[{") - (character in "]}")
            self._at += 1

    def _end_of_line(self) -> None:
        self._blank()
        self._comment()
        if self._peek() not in ("", "\n"):
            raise _Lost
        self._at += 1
        self._line += 1

    def _comment(self) -> None:
        if self._peek() == "#":
            end = self._source.find("\n", self._at)
            self._at = len(self._source) if end < 0 else end

    def _expect(self, text: str) -> None:
        self._blank()
        if not self._source.startswith(text, self._at):
            raise _Lost
        self._at += len(text)

    def _blank(self) -> None:
        blank = _BLANK.match(self._source, self._at)
        self._at = blank.end() if blank else self._at

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]


def _unescaped(text: str) -> str:
    def one(escape: re.Match[str]) -> str:
        code = escape.group(1)
        return chr(int(code[1:], 16)) if code[0] in "uU" else _ESCAPES.get(code, code)

    return _ESCAPE.sub(one, text)
