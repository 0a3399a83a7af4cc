"""Attack: an accepted call is sent again after the proxy was restarted, reconfigured, moved, or lost its file."""

from __future__ import annotations

from pathlib import Path

import pytest
from filter_time import MAX_AGE, SKEW, T0, W, at, clear, refusal, running, supervisor, worker

from pyproxy._native import ReplayFilter


def _accepted(filter_: ReplayFilter, second: int) -> list[tuple[int, bytes]]:
    """Calls over the whole window, all accepted."""
    calls = [(T0 + second + age, b"nonce %d" % age) for age in range(-MAX_AGE, SKEW + 1)]
    assert all(refusal(filter_, at(second), created, nonce) is None for created, nonce in calls)
    return calls


def _refused_for_ever(filter_: ReplayFilter, second: int, calls: list[tuple[int, bytes]]) -> bool:
    for later in range(second, second + W + 2):
        clear(filter_, at(later))
        if not all(refusal(filter_, at(later), created, nonce) for created, nonce in calls):
            return False
    return True


def test_a_restart_remembers_and_needs_no_fence(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    before, second = running(path)
    calls = _accepted(before, second)
    after = supervisor(path, at(second), vouched=before.fingerprint)
    assert after.fresh_because is None
    assert {refusal(after, at(second), created, nonce) for created, nonce in calls} == {"replayed"}
    assert refusal(after, at(second), T0 + second, b"honest") is None
    assert _refused_for_ever(after, second, calls)


def test_a_changed_capacity_makes_a_fresh_file_behind_a_fence(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    before, second = running(path)
    calls = _accepted(before, second)
    after = supervisor(path, at(second), vouched=before.fingerprint, capacity=2000)
    assert after.fresh_because == "made for another capacity: 1000, expected 2000"
    assert refusal(after, at(second), T0 + second + SKEW, b"honest") == "replay-fenced"
    assert refusal(after, at(second + 1), T0 + second + SKEW + 1, b"honest") is None
    assert _refused_for_ever(after, second, calls)


def test_a_lost_file_is_made_anew_behind_a_fence(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    before, second = running(path)
    calls = _accepted(before, second)
    path.unlink()
    after = supervisor(path, at(second), vouched=before.fingerprint)
    assert after.fresh_because is not None
    assert _refused_for_ever(after, second, calls)


def test_a_file_of_another_boot_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    before, second = running(path)
    calls = _accepted(before, second)
    after = supervisor(path, at(second), vouched=before.fingerprint, boot=b"the next boot...")
    assert after.fresh_because == "made in another boot of the machine"
    assert _refused_for_ever(after, second, calls)


def test_an_old_file_put_back_is_not_believed(tmp_path: Path) -> None:
    path, copy = tmp_path / "replay", tmp_path / "copy"
    old, second = running(path)
    path.rename(copy)
    current = supervisor(path, at(second), vouched=old.fingerprint)
    later = second + SKEW + 1
    assert refusal(current, at(later), T0 + later, b"n") is None
    copy.rename(path)
    after = supervisor(path, at(later), vouched=current.fingerprint)
    assert after.fresh_because == "not the file that was in use last"
    assert refusal(after, at(later), T0 + later, b"n") == "replay-fenced"
    with pytest.raises(OSError, match="not the file that was in use last"):
        worker(path, current.fingerprint)


def test_a_clock_set_back_between_two_files_opens_no_gap(tmp_path: Path) -> None:
    path = tmp_path / "replay"
    before, second = running(path)
    calls = _accepted(before, second)
    back = -2 * W
    after = supervisor(path, at(second, back), vouched=before.fingerprint, capacity=2000)
    for later in range(second, second + 4 * W):
        clear(after, at(later, back))
        assert all(refusal(after, at(later, back), created, nonce) for created, nonce in calls)
