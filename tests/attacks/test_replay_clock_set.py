"""Attack: an accepted call is sent again after somebody, or a broken time server, has set the clock."""

from __future__ import annotations

from pathlib import Path

import pytest
from filter_time import SKEW, T0, YEAR, W, at, clear, refusal, running


@pytest.mark.parametrize("jump", [-2 * W, -W - 1, W + 1, YEAR, -YEAR])
def test_a_jump_closes_the_gate_and_no_replay_passes_when_it_opens_again(tmp_path: Path, jump: int) -> None:
    filter_, second = running(tmp_path / "replay")
    accepted = [(T0 + second + age, b"nonce %d" % age) for age in range(-W + SKEW, SKEW + 1)]
    for created, nonce in accepted:
        assert refusal(filter_, at(second), created, nonce) is None
    # Set for good: closed for a window, then behind a fence.
    for later in range(second, second + W):
        assert clear(filter_, at(later, jump)) == "clock-unsafe"
        assert refusal(filter_, at(later, jump), T0 + later + jump, b"honest") == "clock-unsafe"
    opened = second + W
    clear(filter_, at(opened, jump))
    assert refusal(filter_, at(opened, jump), T0 + opened + jump + SKEW, b"honest") == "replay-fenced"
    for later in range(opened, opened + 6 * W):
        clear(filter_, at(later, jump))
        assert all(refusal(filter_, at(later, jump), created, nonce) for created, nonce in accepted)


def test_a_clock_set_forward_by_a_year_and_back_forgets_nothing(tmp_path: Path) -> None:
    filter_, second = running(tmp_path / "replay")
    assert refusal(filter_, at(second), T0 + second, b"n") is None
    for later in range(second, second + W // 2):
        clear(filter_, at(later, YEAR))
    back = second + W // 2
    clear(filter_, at(back))
    assert refusal(filter_, at(back), T0 + second, b"n") in {"replayed", "replay-fenced"}
    honest = T0 + back + SKEW + 1
    assert refusal(filter_, at(back + 1), honest, b"n") is None, "and honest calls pass behind the fence"


def test_a_long_stay_a_year_ahead_does_not_shut_out_the_present_for_a_year(tmp_path: Path) -> None:
    filter_, second = running(tmp_path / "replay")
    assert refusal(filter_, at(second), T0 + second, b"n") is None
    for later in range(second, second + 5 * W):
        clear(filter_, at(later, YEAR))
    for later in range(second + 5 * W, second + 7 * W):
        clear(filter_, at(later))
    now = second + 7 * W
    assert refusal(filter_, at(now), T0 + now, b"n") is None
    assert refusal(filter_, at(now), T0 + now, b"n") == "replayed"


def test_a_clock_that_creeps_back_in_steps_below_the_alarm_lets_no_replay_pass(tmp_path: Path) -> None:
    filter_, second = running(tmp_path / "replay")
    created = T0 + second
    assert refusal(filter_, at(second), created, b"n") is None
    for step in range(1, 20):
        later = second + 3 * W * step
        for jump in range(0, -step * W // 4, -7):
            clear(filter_, at(later, jump))
            assert refusal(filter_, at(later, jump), created, b"n") is not None
