"""The weight between two members: against a search over a grid, and what it is worth on other items."""

from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import InputError
from stages.results import weighting
from stages.results.members import Member

TWO = [Member("a", Path("a"), 0.5), Member("b", Path("b"), 0.5)]


def log_probs(seed: int, labels: np.ndarray, strength: float) -> np.ndarray:
    """Of a network that knows the classes the better, the larger `strength` is: 0 is noise."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), 5))
    logits[np.arange(len(labels)), labels] += strength
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))


def mixed_loss(true: list[np.ndarray], items: np.ndarray, weight: float) -> float:
    return -float(np.log(weight * np.exp(true[0][items]) + (1 - weight) * np.exp(true[1][items])).mean())


@pytest.mark.parametrize(
    ("strengths", "low", "high"), [((3, 0), 0.9, 1), ((0, 3), 0, 0.1), ((2, 2), 0.3, 0.7), ((2, 1.6), 0.5, 0.95)]
)
def test_the_weight_is_that_of_a_naive_grid(strengths: tuple[float, float], low: float, high: float) -> None:
    labels = np.random.default_rng(9).integers(0, 5, 400)
    rows = np.arange(400)
    true = [log_probs(seed, labels, strength)[rows, labels] for seed, strength in enumerate(strengths)]
    fitted_on: dict[tuple[int, ...], None] = {}

    def loss(items: np.ndarray, weight: float) -> float:
        fitted_on[tuple(items.tolist())] = None
        return mixed_loss(true, items, weight)

    found, grid = weighting.cross_fit(TWO, 400, loss), np.linspace(0.0005, 0.9995, 1000)
    naive = grid[np.argmin([mixed_loss(true, rows, weight) for weight in grid])]
    assert low <= found.members[0].weight <= high
    assert found.weights == pytest.approx({"a": naive, "b": 1 - naive}, abs=1e-3)
    np.testing.assert_allclose(found.by_item.sum(0), 1)
    halves = [np.array(items) for items in fitted_on if len(items) < 400]
    assert [len(half) for half in halves] == [200, 200] and len(np.union1d(*halves)) == 400
    for half, other in (halves, halves[::-1]):
        naive = grid[np.argmin([mixed_loss(true, other, weight) for weight in grid])]
        np.testing.assert_allclose(found.by_item[0, half], naive, atol=1e-3)


def test_one_item_has_no_halves() -> None:
    with pytest.raises(InputError, match=r"weights: fit needs at least two dev items.*; take equal"):
        weighting.cross_fit(TWO, 1, lambda items, weight: weight)
