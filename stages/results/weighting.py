"""The weights of two members, fitted on dev and evaluated by cross-fitting. N items.

Scores of the items that weights were fitted on are too good. So predictions for each half of dev use the weights fitted on
the other half, and those for the test split the weights fitted on all of dev.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from stages.core.errors import InputError
from stages.results.members import Member


class Fitted(NamedTuple):
    """members: with the weights fitted on all of dev. by_item: the weights for each dev item, of the other half, (2, N)."""

    members: list[Member]
    by_item: np.ndarray

    @property
    def weights(self) -> dict[str, float]:
        """The weights fitted on all of dev, by member name."""
        return {member.name: member.weight for member in self.members}


def cross_fit(members: Sequence[Member], num: int, loss: Callable[[np.ndarray, float], float]) -> Fitted:
    """Fit the two members' weights. num: N. loss(items (n,) int64, weight of the first member): the mean over the items.

    The random halves are always the same. Raises InputError if dev has fewer than two items.
    """
    if num < 2:
        raise InputError("weights: fit needs at least two dev items, one for each half; take equal")

    def fit(items: np.ndarray) -> float:
        return least(lambda weight: loss(items, weight))

    one, other = np.array_split(np.random.default_rng(0).permutation(num), 2)
    first, weight = np.empty(num), fit(np.arange(num))
    first[one], first[other] = fit(other), fit(one)
    shares = zip(members, (weight, 1 - weight), strict=True)
    return Fitted([member._replace(weight=share) for member, share in shares], np.stack([first, 1 - first]))


def least(loss: Callable[[float], float]) -> float:
    """Return the weight between 0 and 1 with the least loss, if the loss is convex, as the cross-entropy of a mixture is."""
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
