"""Where the replay filter lies, and who may use it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pyproxy import replayfile
from pyproxy._native import ReplayFilter
from pyproxy.replayfile import Prepared, StateDirectoryInUse, StateLock, choose_path, prepare


def prepared(state_dir: Path, configured: Path | None, capacity: int = 100) -> Prepared:
    state_dir.mkdir(exist_ok=True)
    return prepare(state_dir, configured, capacity=capacity, max_age_s=30, clock_skew_s=5)


def test_a_second_instance_is_kept_out_and_told_who_is_in(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "state")
    code = "import sys, pathlib; from pyproxy.replayfile import StateLock; StateLock(pathlib.Path(sys.argv[1]))"
    second = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "state")], capture_output=True, text=True, check=False
    )
    assert second.returncode != 0
    assert f"is in use by process {os.getpid()} or one of its workers" in second.stderr
    lock.close()
    StateLock(tmp_path / "state").close()


def test_a_worker_that_inherited_the_lock_keeps_a_second_instance_out(tmp_path: Path) -> None:
    lock = StateLock(tmp_path / "state")
    worker = subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, pass_fds=[lock.fileno()])
    lock.close()
    try:
        with pytest.raises(StateDirectoryInUse):
            StateLock(tmp_path / "state")
    finally:
        worker.communicate()
    StateLock(tmp_path / "state").close()


def test_the_state_directory_is_made_for_us_alone(tmp_path: Path) -> None:
    StateLock(tmp_path / "a" / "state").close()
    assert stat.S_IMODE((tmp_path / "a" / "state").stat().st_mode) == 0o700


def test_memory_is_chosen_where_it_has_room_and_else_the_state_directory(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.path.ismount(memory):
        pytest.skip("no memory file system here")
    in_memory = choose_path(tmp_path, None, 4096)
    assert in_memory.parent == memory
    assert in_memory != choose_path(tmp_path / "other", None, 4096), "two instances do not share a file"
    assert choose_path(tmp_path, None, 1 << 60) == tmp_path / "replay"
    assert choose_path(tmp_path, None, 4096, memory_file_system=tmp_path) == tmp_path / "replay", "that is a disk"
    assert choose_path(tmp_path, tmp_path / "mine", 1 << 60) == tmp_path / "mine"


def test_a_restart_finds_its_file_and_a_worker_opens_it(tmp_path: Path) -> None:
    first = prepared(tmp_path / "state", tmp_path / "replay")
    assert first.filter.fresh_because is not None
    again = prepared(tmp_path / "state", tmp_path / "replay")
    assert again.filter.fresh_because is None
    assert again.file == first.file
    assert again.file.open().fingerprint == first.filter.fingerprint


def test_every_fresh_file_has_a_key_of_its_own(tmp_path: Path) -> None:
    first = prepared(tmp_path / "state", tmp_path / "replay")
    second = prepared(tmp_path / "state", tmp_path / "replay", capacity=200)
    assert first.filter.fingerprint != second.filter.fingerprint


def test_a_filter_that_moves_away_and_comes_back_does_not_believe_its_old_file(tmp_path: Path) -> None:
    state, here, there = tmp_path / "state", tmp_path / "here", tmp_path / "there"
    first = prepared(state, here)
    kept = here.read_bytes()
    second = prepared(state, there)
    assert not here.exists(), "its memory is given back"
    here.write_bytes(kept)
    here.chmod(0o600)
    third = prepared(state, here)
    assert third.filter.fresh_because == "not the file that was in use last"
    assert len({first.filter.fingerprint, second.filter.fingerprint, third.filter.fingerprint}) == 3


@pytest.mark.parametrize("record", [None, b"", b"{}", b"\xff", b'{"path":1}'])
def test_without_its_record_no_file_is_believed(tmp_path: Path, record: bytes | None) -> None:
    state, path = tmp_path / "state", tmp_path / "replay"
    prepared(state, path)
    if record is None:
        (state / "replay.json").unlink()
    else:
        (state / "replay.json").write_bytes(record)
    assert prepared(state, path).filter.fresh_because == "not the file that was in use last"
    assert stat.S_IMODE((state / "replay.json").stat().st_mode) == 0o600


def test_a_second_state_directory_with_the_same_path_takes_nothing_over(tmp_path: Path) -> None:
    first = prepared(tmp_path / "one", tmp_path / "replay")
    second = prepared(tmp_path / "two", tmp_path / "replay")
    assert second.filter.fresh_because is not None
    with pytest.raises(OSError, match="not the file that was in use last"):
        first.file.open()


def test_a_file_in_someone_elses_hands_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    prepared(tmp_path / "state", path)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="mode 0644"):
        prepared(tmp_path / "state", path)


def test_the_boot_id_is_that_of_the_kernel() -> None:
    assert len(replayfile.boot_id()) == 16
    assert replayfile.boot_id() == replayfile.boot_id()


def test_memory_needed_is_known_before_anything_is_made() -> None:
    assert ReplayFilter.memory_bytes(1_000_000) == 64_000_000 + ReplayFilter.memory_bytes(4) - 256
