"""How two set-ups compare: the median of the ratios of pairs measured one after the other, and how sure that is.

A shared machine drifts by more than what is to be told apart, so nothing absolute is compared: each ratio is of two
neighbours in time, their order alternates, and the interval comes from resampling the pairs (percentile bootstrap,
90 %; of nine pairs it covers the true ratio four times in five). A bound is missed only when even the lower end of that
interval exceeds it: noise alone seldom fails a build, and does not hide a change that is larger.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

RESAMPLES = 10_000
CONFIDENCE = 0.90


@dataclass(frozen=True)
class Ratio:
    """The median ratio and its 90 % bootstrap interval."""

    median: float
    low: float
    high: float
    pairs: int

    def misses(self, bound: float) -> bool:
        """Whether this is above `bound` beyond what chance explains."""
        return self.low > bound

    def __str__(self) -> str:
        return f"{self.median:.3f} [{self.low:.3f}, {self.high:.3f}]"


def ratio_of_pairs(subject: Sequence[float], rival: Sequence[float]) -> Ratio:
    """Compares values measured in pairs: `subject[i]` beside `rival[i]`."""
    if len(subject) != len(rival) or not subject:
        raise ValueError(f"expected as many values of the rival as of the subject, not {len(rival)} and {len(subject)}")
    ratios = [ours / theirs for ours, theirs in zip(subject, rival, strict=True)]
    # The same pairs give the same interval: seeded.
    draw = random.Random(20_260_711)
    medians = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    low, high = medians[round(tail * (RESAMPLES - 1))], medians[round((1 - tail) * (RESAMPLES - 1))]
    return Ratio(statistics.median(ratios), low, high, len(ratios))
