"""Where the replay filter lies, and who may use it.

What a file must be to be trusted is decided by the core; this module chooses the path, keeps a second instance out of
the state directory, and remembers there which file was in use last. That memory matters: a filter that moves to another
place and later comes back must not find its old file and believe it, for calls were accepted in between.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import uuid
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pyproxy._native import ReplayFilter

_MEMORY_FILE_SYSTEM: Final = Path("/dev/shm")  # noqa: S108 (the file in it is opened as one that others may have planted)
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MOUNTS: Final = Path("/proc/self/mounts")
_RECORD: Final = "replay.json"
_LOCK: Final = "lock"


class StateDirectoryInUse(Exception):
    """Another instance has this state directory."""


class StateLock:
    """Holds a state directory for one instance, until closed or until the last process that inherited it ends.

    Workers should inherit the descriptor: as long as one of them serves, no other instance may make a new filter.
    """

    def __init__(self, state_dir: Path) -> None:
        """Makes the directory if need be, mode 0700. Raises `StateDirectoryInUse` or `OSError`."""
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(state_dir / _LOCK, flags, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise StateDirectoryInUse(
                f"state directory `{state_dir}` is in use by process {holder or 'unknown'} or one of its workers"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def fileno(self) -> int:
        """For `pass_fds`."""
        return self._fd

    def close(self) -> None:
        """Gives up this process' hold."""
        os.close(self._fd)


class FilterFile(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to open the filter."""

    path: str
    capacity: int
    max_age_s: int
    clock_skew_s: int
    boot_id: bytes
    fingerprint: bytes

    def open(self) -> ReplayFilter:
        """The very file that the supervisor vouches for. Raises `OSError` if it is another."""
        return ReplayFilter.open(
            self.path,
            capacity=self.capacity,
            max_age_s=self.max_age_s,
            clock_skew_s=self.clock_skew_s,
            boot_id=self.boot_id,
            fingerprint=self.fingerprint,
        )


class _Record(msgspec.Struct, frozen=True):
    """What the state directory remembers."""

    path: str
    fingerprint: bytes


class Prepared(NamedTuple):
    """The filter of this node, ready for workers."""

    filter: ReplayFilter
    file: FilterFile


def prepare(state_dir: Path, configured: Path | None, *, capacity: int, max_age_s: int, clock_skew_s: int) -> Prepared:
    """Opens or makes the filter's file; for the supervisor, which holds the state directory, before any worker runs.

    Raises `OSError`, which names path and size, when there is no room, or a file of someone else is in the way, and
    `ValueError` when a number is out of range.
    """
    chosen = choose_path(state_dir, configured, ReplayFilter.memory_bytes(capacity))
    record = _read_record(state_dir)
    boot = boot_id()
    replay_filter = ReplayFilter.create_or_open(
        str(chosen),
        capacity=capacity,
        max_age_s=max_age_s,
        clock_skew_s=clock_skew_s,
        boot_id=boot,
        tag_key=secrets.token_bytes(32),
        fingerprint=record.fingerprint if record and record.path == str(chosen) else None,
    )
    if record and record.path != str(chosen):
        with contextlib.suppress(OSError):
            Path(record.path).unlink()  # only gives its memory back; nobody believes it any more
    # Before the first worker starts: what is accepted under this file must make every other one untrusted.
    _write_record(state_dir, _Record(str(chosen), replay_filter.fingerprint))
    return Prepared(
        replay_filter,
        FilterFile(
            path=str(chosen),
            capacity=capacity,
            max_age_s=max_age_s,
            clock_skew_s=clock_skew_s,
            boot_id=boot,
            fingerprint=replay_filter.fingerprint,
        ),
    )


def join(state_dir: Path, *, capacity: int, max_age_s: int, clock_skew_s: int) -> ReplayFilter:
    """The filter that another instance has prepared here; for a process that embeds a gate beside it.

    Raises `OSError` if there is none yet, or it was made with other settings.
    """
    record = _read_record(state_dir)
    if record is None:
        raise FileNotFoundError(f"state directory `{state_dir}` is in use, but names no replay filter yet; try again")
    file = FilterFile(
        path=record.path,
        capacity=capacity,
        max_age_s=max_age_s,
        clock_skew_s=clock_skew_s,
        boot_id=boot_id(),
        fingerprint=record.fingerprint,
    )
    return file.open()


def choose_path(
    state_dir: Path, configured: Path | None, size: int, memory_file_system: Path = _MEMORY_FILE_SYSTEM
) -> Path:
    """The configured path; else a memory file system if one has room (no disk is written); else the state directory."""
    if configured is not None:
        return configured
    name = hashlib.sha256(os.fsencode(state_dir.resolve())).hexdigest()[:16]
    in_memory = memory_file_system / f"pyproxy-{name}-replay"
    if _is_memory(memory_file_system) and _room_for(in_memory) >= size:
        return in_memory
    return state_dir / "replay"


def boot_id() -> bytes:
    """Which boot of the machine this is: 16 bytes. Raises `OSError` where the kernel does not tell."""
    return uuid.UUID(_BOOT_ID.read_text("ascii").strip()).bytes


def _is_memory(directory: Path) -> bool:
    """Whether it is the root of a mounted tmpfs that we may write to."""
    try:
        mounts = _MOUNTS.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return False
    mounted = any(fields[1:3] == [str(directory), "tmpfs"] for fields in (line.split(" ") for line in mounts))
    return mounted and os.access(directory, os.W_OK | os.X_OK)


def _room_for(path: Path) -> int:
    """Free bytes of its file system, and what an earlier file of ours there would give back."""
    free = os.statvfs(path.parent)
    old = 0
    with contextlib.suppress(OSError):
        status = path.lstat()
        old = status.st_blocks * 512 if status.st_uid == os.geteuid() else 0
    return free.f_bavail * free.f_frsize + old


def _read_record(state_dir: Path) -> _Record | None:
    try:
        return msgspec.json.decode((state_dir / _RECORD).read_bytes(), type=_Record)
    except (OSError, msgspec.DecodeError):
        return None  # a file that nobody vouches for is made anew, behind a fence


def _write_record(state_dir: Path, record: _Record) -> None:
    new = state_dir / f"{_RECORD}.new"
    new.unlink(missing_ok=True)
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as out:
        out.write(msgspec.json.encode(record))
    new.replace(state_dir / _RECORD)
