"""The statistics of the benchmarks: what counts as faster, and when a bound is missed."""

import random

import pytest

from bench.ratio import ratio_of_pairs


def test_the_ratio_is_the_median_of_the_pairs_not_the_ratio_of_the_medians():
    ratio = ratio_of_pairs([1.0, 20.0, 300.0], [1.0, 10.0, 100.0])
    assert ratio.median == 2.0
    assert ratio.pairs == 3


def test_a_drift_common_to_both_sides_of_each_pair_changes_nothing():
    drift = [1.0, 1.5, 2.0, 4.0, 3.0, 1.2, 0.7]
    ratio = ratio_of_pairs([1.1 * factor for factor in drift], drift)
    assert ratio.median == pytest.approx(1.1)
    assert ratio.high - ratio.low < 1e-9


def test_a_bound_is_missed_only_when_the_lower_end_of_the_interval_exceeds_it():
    noisy = ratio_of_pairs([0.9, 1.3, 1.2, 0.95, 1.25, 0.97, 1.22], [1.0] * 7)
    assert noisy.median > 1.1
    assert noisy.low <= 1.1
    assert not noisy.misses(1.1)
    assert noisy.misses(noisy.low - 0.001)


def test_a_clear_miss_is_seen_with_seven_pairs():
    draw = random.Random(1)
    ratio = ratio_of_pairs([1.3 * draw.uniform(0.95, 1.05) for _ in range(7)], [1.0] * 7)
    assert ratio.misses(1.1)


def test_the_interval_of_nine_pairs_covers_the_true_ratio_about_four_times_in_five():
    draw = random.Random(2)
    covered = 0
    for _ in range(100):
        ratio = ratio_of_pairs([draw.lognormvariate(0, 0.1) for _ in range(9)], [1.0] * 9)
        covered += ratio.low <= 1.0 <= ratio.high
    assert 72 <= covered <= 92


def test_the_same_pairs_give_the_same_interval():
    ours, theirs = [1.0, 1.2, 0.9, 1.1], [1.0, 1.0, 1.0, 1.0]
    assert ratio_of_pairs(ours, theirs) == ratio_of_pairs(ours, theirs)


@pytest.mark.parametrize(("subject", "rival"), [([], []), ([1.0], [1.0, 2.0])])
def test_what_was_not_measured_in_pairs_is_refused(subject, rival):
    with pytest.raises(ValueError, match="as many values"):
        ratio_of_pairs(subject, rival)
