"""The binding of the replay filter: its file on disk, and what it tells Python."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from pyproxy._native import ReplayClaim, ReplayFilter

T0 = 1_800_000_000


def at(seconds: int) -> tuple[int, int]:
    return (T0 + seconds) * 10**9, (1000 + seconds) * 10**9


def make(path: Path, **changes: Any) -> ReplayFilter:
    arguments: dict[str, Any] = {
        "capacity": 1000,
        "max_age_s": 30,
        "clock_skew_s": 5,
        "boot_id": b"b" * 16,
        "tag_key": b"k" * 32,
        "fingerprint": None,
        "now": at(0),
    }
    return ReplayFilter.create_or_open(str(path), **(arguments | changes))


def in_memory() -> ReplayFilter:
    return ReplayFilter.in_memory(capacity=1000, max_age_s=30, clock_skew_s=5, tag_key=b"k" * 32, now=at(0))


def test_the_file_is_ours_alone_and_every_block_is_allocated(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    old = os.umask(0)
    try:
        make(path)
    finally:
        os.umask(old)
    status = path.stat()
    assert stat.S_IMODE(status.st_mode) == 0o600
    assert status.st_size == ReplayFilter.memory_bytes(1000)
    assert status.st_blocks * 512 >= status.st_size
    assert list(tmp_path.iterdir()) == [path], "nothing half made stays behind"


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "replay"
    make(target)
    before = target.read_bytes()
    path.symlink_to(target)
    with pytest.raises(OSError, match="cannot open"):
        make(path)
    assert target.read_bytes() == before


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o606, 0o4600])
def test_a_file_that_others_may_reach_is_an_error_that_says_so(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "replay"
    fingerprint = make(path).fingerprint
    path.chmod(mode)
    with pytest.raises(PermissionError, match=f"mode {mode:04o}, expected 0600"):
        make(path, fingerprint=fingerprint)


def test_a_file_with_a_second_name_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    make(path)
    (tmp_path / "kept").hardlink_to(path)
    with pytest.raises(PermissionError, match="2 names"):
        make(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    make(path)
    os.chown(path, 12345, -1)
    with pytest.raises(PermissionError, match="owned by user 12345"):
        make(path)


def test_a_fifo_or_directory_in_the_way_neither_hangs_nor_passes(tmp_path: Path) -> None:
    fifo, directory = tmp_path / "fifo", tmp_path / "directory"
    os.mkfifo(fifo, 0o600)
    directory.mkdir()
    for path in (fifo, directory):
        with pytest.raises(OSError, match=path.name):
            make(path)


def test_too_little_room_is_an_error_at_start_that_names_path_and_size(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    capacity = 1 << 30
    free = os.statvfs(tmp_path)
    if free.f_bavail * free.f_frsize > ReplayFilter.memory_bytes(capacity):
        path = Path("/dev/shm") / f"pyproxy-test-{os.getpid()}"
        free = os.statvfs(path.parent)
        if free.f_bavail * free.f_frsize > ReplayFilter.memory_bytes(capacity):
            pytest.skip("64 GiB are free everywhere")
    with pytest.raises(OSError, match=rf"{path.name}\S* \({ReplayFilter.memory_bytes(capacity)} bytes\)"):
        make(path, capacity=capacity)
    assert not list(path.parent.glob(f"{path.name}*"))


def test_an_empty_cut_or_foreign_file_is_replaced_behind_a_fence(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    whole = make(path).fingerprint
    cut = path.read_bytes()[:-8]
    for content in (b"", b"x", b"no replay file, sorry...", cut):
        path.write_bytes(content)
        path.chmod(0o600)
        fresh = make(path, fingerprint=whole)
        assert fresh.fresh_because
        assert fresh.claim(T0 + 5, b"k", b"n", now=at(0)) == "replay-fenced"


def test_a_worker_opens_what_its_supervisor_vouches_for_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    arguments: dict[str, Any] = {"capacity": 1000, "max_age_s": 30, "clock_skew_s": 5, "boot_id": b"b" * 16}
    with pytest.raises(OSError, match="No such file"):
        ReplayFilter.open(str(path), fingerprint=bytes(16), **arguments)
    made = make(path)
    assert ReplayFilter.open(str(path), fingerprint=made.fingerprint, **arguments).fingerprint == made.fingerprint
    with pytest.raises(OSError, match="not the file that was in use last"):
        ReplayFilter.open(str(path), fingerprint=bytes(16), **arguments)
    with pytest.raises(OSError, match="made for another max_age: 30, expected 60"):
        ReplayFilter.open(str(path), fingerprint=made.fingerprint, **{**arguments, "max_age_s": 60})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"capacity": 0}, "capacity 0: expected 1 to"),
        ({"capacity": 1 << 40}, "expected 1 to 1073741824"),
        ({"max_age_s": 1 << 40}, "max_age 1099511627776 s"),
        ({"boot_id": b"short"}, "expected a sequence of length 16"),
        ({"tag_key": b""}, "expected a sequence of length 32"),
    ],
)
def test_a_bad_argument_is_an_error_that_names_it_and_touches_no_file(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(tmp_path / "replay", **changes)
    assert not list(tmp_path.iterdir())


def test_a_claim_is_an_object_and_a_refusal_is_its_label() -> None:
    filter_ = in_memory()
    claim = filter_.claim(T0 + 6, b"k", b"n", now=at(6))
    assert isinstance(claim, ReplayClaim) and claim.probes == 1
    assert filter_.claim(T0 + 6, b"k", b"n", now=at(6)) == "replayed"
    assert filter_.release(claim)
    assert not filter_.release(claim)
    assert isinstance(filter_.claim(T0 + 6, b"k", b"n", now=at(6)), ReplayClaim)


def test_the_status_tells_how_things_stand() -> None:
    filter_ = in_memory()
    filter_.claim(T0 + 6, b"k", b"n", now=at(6))
    status = filter_.status(now=at(6))
    assert status["capacity"] == 1000 and status["slots_per_table"] == 2000 and status["claims"] == 1
    assert status["window_s"] == 40 and status["generation_s"] == 20
    assert status["fence"] == T0 + 5 and status["floor"] == 0
    assert status["clock_safe"] and status["ready"]
    assert [table["fill"] for table in status["tables"] if table["fill"]] == [1]
    assert status["bytes"] == ReplayFilter.memory_bytes(1000)
    assert filter_.clear_step(10, now=at(100_000)) == "cleared"
    assert not filter_.status(now=at(100_000))["ready"]


def test_the_real_clocks_are_read_where_no_time_is_passed(tmp_path: Path) -> None:
    filter_ = make(tmp_path / "replay", now=None)
    assert filter_.clear_step(1000) == "ready"
    # "ready" may come some seconds later, behind the fence: it depends on when in a generation the filter was made.
    assert filter_.status()["clock_safe"]
    assert filter_.claim(0, b"k", b"n") == "signature-expired"


@pytest.mark.parametrize("second", range(0, 40, 3))
def test_a_new_filter_is_ready_at_any_moment_of_a_generation(second: int) -> None:
    now = at(second)
    filter_ = ReplayFilter.in_memory(capacity=1000, max_age_s=30, clock_skew_s=5, tag_key=b"k" * 32, now=now)
    assert filter_.clear_step(10_000, now=now) == "ready"
    assert filter_.status(now=now)["ready"]


def test_clearing_a_table_in_steps_is_done_within_a_quarter_of_a_generation() -> None:
    filter_ = in_memory()
    for interval_ms in (1, 10, 100, 1000):
        steps = 5000 // interval_ms
        assert filter_.slots_per_step(interval_ms) * steps >= 2000
