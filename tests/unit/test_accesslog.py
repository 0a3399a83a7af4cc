"""How lines leave: whole, in order, and never at a call's expense."""

from __future__ import annotations

import os
from pathlib import Path
from typing import cast

from pyproxy import accesslog
from pyproxy._native import AccessLog


class Lines:
    """Stands for the binding's buffer."""

    def __init__(self) -> None:
        self.batches: list[tuple[bytes, int]] = []

    def take(self) -> tuple[bytes, int]:
        return self.batches.pop(0) if self.batches else (b"", 0)


def writer(lines: Lines, path: Path) -> accesslog.Writer:
    return accesslog.Writer(cast(AccessLog, lines), str(path))


def test_what_is_left_is_written_at_the_end(tmp_path: Path) -> None:
    lines = Lines()
    log = writer(lines, tmp_path / "log")
    lines.batches.append((b'{"a":1}\n{"a":2}\n', 3))
    log.close()
    assert (tmp_path / "log").read_bytes() == b'{"a":1}\n{"a":2}\n'
    assert log.dropped == 3


def test_a_full_disk_drops_lines_and_counts_them() -> None:
    lines = Lines()
    log = writer(lines, Path("/dev/full"))
    lines.batches.append((b"{}\n{}\n", 0))
    log.close()
    assert (log.dropped, log.errors) == (2, 1)


def test_a_pipe_gets_whole_lines_of_no_more_than_it_keeps_apart() -> None:
    line = b'{"path":"' + b"a" * 500 + b'"}\n'
    parts = accesslog._parts(line * 100, 4096)  # pyright: ignore[reportPrivateUsage]
    assert b"".join(parts) == line * 100
    assert all(len(part) <= 4096 and part.endswith(b"\n") for part in parts)
    assert accesslog._parts(b"b" * 9000 + b"\n" + line, 4096) == [b"b" * 9000 + b"\n", line]  # pyright: ignore[reportPrivateUsage]


def test_a_pipe_that_nobody_reads_does_not_hold_the_worker(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    lines = Lines()
    log = writer(lines, path)
    lines.batches.append((b"{}\n" * 100_000, 0))
    log.close()  # returns, though most of it was never written
    os.close(reader)
