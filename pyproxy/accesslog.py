"""Writes the access log: lines that the binding has made (`native/src/access_log.rs`), in batches, off the event loop.

One thread per worker takes what has gathered and writes it. A file that is slow or full holds up this thread alone; the
lines' buffer is bounded, and what finds no room is dropped and counted. All workers append to one file; each write is
of whole lines, which O_APPEND keeps apart. A pipe promises that only for PIPE_BUF bytes, so it gets no more at once.
"""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from typing import TYPE_CHECKING

from pyproxy.events import log

if TYPE_CHECKING:
    from pyproxy._native import AccessLog

#: Lines that wait, per worker; at ~450 bytes a line, ten thousand.
MAX_BUFFER_BYTES = 4 << 20
#: How often what has gathered is written.
INTERVAL_S = 0.2
#: The last batch at the end of a worker may take so long.
CLOSE_TIMEOUT_S = 2.0


class Writer:
    """The thread, and the file that it appends to. `path` is a file's, or `-` for standard output."""

    def __init__(self, lines: AccessLog, path: str) -> None:
        self._lines = lines
        self._path = path
        self._file = self._open()
        self._reopen = threading.Event()
        self._stop = threading.Event()
        self.dropped = 0
        """Lines that were not written, for want of room or because the file refused them."""
        self.errors = 0
        """Writes that failed."""
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="access-log", daemon=True)
        self._thread.start()

    def reopen(self) -> None:
        """The file was moved away: its path is opened anew before the next batch."""
        self._reopen.set()

    def close(self) -> None:
        """Writes what is left, for a moment; a file that takes nothing does not keep the process."""
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_S):
            self._write_batch()
        self._write_batch()

    def _write_batch(self) -> None:
        batch, dropped = self._lines.take()
        self.dropped += dropped
        if self._reopen.is_set():
            self._reopen.clear()
            self._open_anew()
        if not batch:
            return
        try:
            for part in _parts(batch, self._at_once()):
                _write_all(self._file, part)
        except OSError as error:
            self.errors += 1
            self.dropped += batch.count(b"\n")
            if not self._failing:
                self._failing = True
                log.error("access log cannot be written", path=self._path, error=(error.strerror or "").lower())
        else:
            if self._failing:
                self._failing = False
                log.info("access log is written again", path=self._path, dropped=self.dropped)

    def _open(self) -> int:
        if self._path == "-":
            return sys.stdout.fileno()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        return os.open(self._path, flags, 0o600)

    def _open_anew(self) -> None:
        if self._path == "-":
            return
        try:
            new = self._open()
        except OSError as error:
            self.errors += 1
            log.error("access log cannot be opened anew", path=self._path, error=(error.strerror or "").lower())
            return
        os.close(self._file)
        self._file = new

    def _at_once(self) -> int:
        return 1 << 30 if stat.S_ISREG(os.fstat(self._file).st_mode) else select.PIPE_BUF


def _parts(batch: bytes, at_once: int) -> list[bytes]:
    """The batch in pieces of whole lines, none longer than `at_once` unless a line is."""
    parts: list[bytes] = []
    start = 0
    while start < len(batch):
        end = len(batch)
        if end - start > at_once:
            end = batch.rfind(b"\n", start, start + at_once) + 1 or batch.index(b"\n", start) + 1
        parts.append(batch[start:end])
        start = end
    return parts


def _write_all(file: int, part: bytes) -> None:
    while part:
        try:
            part = part[os.write(file, part) :]
        except BlockingIOError:  # whoever gave us standard output made it non-blocking
            select.select([], [file], [], 1.0)
