"""Two ways to do the same work, in turn, in one process: how much each does in a second of a core, and the ratio.

CPU time rather than the clock's: other programs on a shared machine slow both sides down, but never evenly.
"""

import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def compare(what: str, unit: str, ours: Callable[[int], int], usual: Callable[[int], int], usual_name: str) -> None:
    """Print medians over the rounds. ours, usual: do the work of a round, given its number, and return how many units."""

    def rate(side: Callable[[int], int], number: int) -> float:
        began = time.process_time()
        count = side(number)
        return count / (time.process_time() - began)

    ours(0), usual(0)  # first calls
    pairs = [(rate(ours, number), rate(usual, number)) for number in range(1, ROUNDS + 1)]
    mine, theirs = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
    ratios = [pair[0] / pair[1] for pair in pairs]
    print(
        f"{what}: ours {mine:,.0f} {unit} a core-second, {usual_name} {theirs:,.0f}; "
        f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, {ROUNDS} rounds)",
        flush=True,
    )
