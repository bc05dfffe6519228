"""A weight between two members, fitted on dev, and what such a weight is worth on items that it was not fitted on.

The score of the items that it was fitted on flatters the weight. So each item of dev is answered with the weight that fits
the half of dev that it is not in (cross-fitting), and the test split with the weight that fits all of dev. N items.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from stages.core.errors import InputError
from stages.results.members import Member


class Fitted(NamedTuple):
    """members: with the weights of all dev, for test. by_item (2, N): of each item of dev the weights of the other half."""

    members: list[Member]
    by_item: np.ndarray

    @property
    def weights(self) -> dict[str, float]:
        """Those of all dev, by the members' names."""
        return {member.name: member.weight for member in self.members}


def cross_fit(members: Sequence[Member], num: int, loss: Callable[[np.ndarray, float], float]) -> Fitted:
    """The two members' weights of least loss. num: N. loss: the mean of items (n,) int64, with a weight of the first member.

    The halves are drawn, always the same. Raises InputError: dev has a single item.
    """
    if num < 2:
        raise InputError("weights: fit needs two items of dev, one for each half; take equal")

    def fit(items: np.ndarray) -> float:
        return least(lambda weight: loss(items, weight))

    one, other = np.array_split(np.random.default_rng(0).permutation(num), 2)
    first, weight = np.empty(num), fit(np.arange(num))
    first[one], first[other] = fit(other), fit(one)
    shares = zip(members, (weight, 1 - weight), strict=True)
    return Fitted([member._replace(weight=share) for member, share in shares], np.stack([first, 1 - first]))


def least(loss: Callable[[float], float]) -> float:
    """The weight between 0 and 1 of least loss: exact where the loss is convex, as a mixture's cross-entropy is."""
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(loss, bounds=(0, 1), method="bounded").x)
