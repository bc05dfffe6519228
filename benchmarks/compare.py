"""Compare two ways to do the same work, in turn, in one process: units per core-second, and the ratio.

CPU time, not wall-clock time, as other programs on a shared machine slow down both sides unevenly.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROUNDS = 5


@dataclass(frozen=True)
class Result:
    """ours, usual: units per core-second, medians over the rounds. ratio, low, high: median, minimum and maximum."""

    claim: str
    against: str
    unit: str
    ours: float
    usual: float
    ratio: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        return (
            f"{self.claim}: {self.ours:,.4g} {self.unit} a core-second, {self.against} {self.usual:,.4g}; "
            f"ratio {self.ratio:.2f} ({self.low:.2f} to {self.high:.2f}, {self.rounds} rounds)"
        )


def compare(
    claim: str,
    unit: str,
    ours: Callable[[int], float],
    usual: Callable[[int], float],
    against: str,
    rounds: int = ROUNDS,
) -> Result:
    """Measure, print and return. ours, usual: do the work of a round, given its number, and return the number of units."""

    def rate(side: Callable[[int], float], number: int) -> float:
        began = time.process_time()
        count = side(number)
        return count / (time.process_time() - began)

    ours(0), usual(0)  # first calls
    pairs = [(rate(ours, number), rate(usual, number)) for number in range(1, rounds + 1)]
    mine, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratios = [pair[0] / pair[1] for pair in pairs]
    result = Result(claim, against, unit, mine, theirs, statistics.median(ratios), min(ratios), max(ratios), rounds)
    print(result, flush=True)
    return result
