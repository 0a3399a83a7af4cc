"""Attack: one key, or all of them, send so many calls that the filter has no room: nobody passes unchecked."""

from __future__ import annotations

from pathlib import Path

from filter_time import T0, G, at, clear, refusal, running


def test_one_key_fills_half_of_a_table_and_is_refused_alone(tmp_path: Path) -> None:
    filter_, second = running(tmp_path / "replay")
    answers = [refusal(filter_, at(second), T0 + second, b"%d" % i, b"flood") for i in range(3000)]
    assert answers == [None] * 500 + ["key-quota"] * 2500
    honest = [refusal(filter_, at(second), T0 + second, b"%d" % i, b"honest %d" % (i % 3)) for i in range(400)]
    assert honest == [None] * 400
    clear(filter_, at(second + G))
    assert refusal(filter_, at(second + G), T0 + second + G, b"n", b"flood") is None, "the next generation is another"


def test_the_calls_of_a_whole_window_may_carry_one_second_and_then_the_answer_is_no(tmp_path: Path) -> None:
    filter_, second = running(tmp_path / "replay")
    answers = [refusal(filter_, at(second), T0 + second, b"%d" % i, b"key %d" % (i % 9)) for i in range(1500)]
    assert answers == [None] * 1000 + ["replay-full"] * 500
    again = [refusal(filter_, at(second), T0 + second, b"%d" % i, b"key %d" % (i % 9)) for i in range(1000)]
    assert again == ["replayed"] * 1000
