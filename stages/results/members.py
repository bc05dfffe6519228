"""What `evaluate` keeps of a run's answers for ensembles, and the mean of two such. N items or frames, K classes.

data/predictions/<run>/ has log-probabilities as float16, whose error of 1e-3 of a value changes no answer but a tie:
dev.npy and test.npy, (N, K), and for sequences dev_offsets.npy, where each begins. What would pass MOST_BYTES is left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import InputError

MOST_BYTES = 500_000_000  # HW2P2's 35,000 images of 7,000 classes take 490 million
MEANS = ("probabilities", "log-probabilities")


class Member(NamedTuple):
    """A member of an ensemble: a run or an ensemble, its folder in data/predictions, its share; shares add up to 1."""

    name: str
    folder: Path
    weight: float


def fits(*shape: int) -> bool:
    """Whether an array of float16 is small enough to be kept."""
    return 2 * int(np.prod(shape, dtype=object)) <= MOST_BYTES


def read(members: Sequence[Member], name: str) -> list[np.ndarray]:
    """The array `name` of each member, in a memory map. Raises InputError: one has none, or they have other items."""
    found = []
    for member in members:
        file = member.folder / name
        if not file.is_file():
            raise InputError(
                f"{file}: is not there; the probabilities of {member.name} are not kept above {MOST_BYTES:,} bytes"
            )
        found.append(np.load(file, mmap_mode="r"))
    for member, array in zip(members, found, strict=True):
        if array.shape != found[0].shape:
            shapes = f"{found[0].shape} in {members[0].name}, {array.shape} in {member.name}"
            raise InputError(f"{name}: the members' answers are not of the same items and classes: {shapes}")
    return found


def mean(log_probs: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray, of: str) -> np.ndarray:
    """Log-probabilities (N, K) float32 of the weighted mean of the M members' (N, K) each. of: one of MEANS.

    weights: of each member, (M,), or of each for every item, (M, N). The mean of log-probabilities is normalised again: the
    geometric mean of the probabilities.
    """
    stacked = np.stack([array.astype(np.float64) for array in log_probs])
    shares = np.asarray(weights, np.float64).reshape(len(stacked), -1, 1)
    if of == "probabilities":
        return np.asarray(np.logaddexp.reduce(stacked + np.log(shares), axis=0), np.float32)
    total = (stacked * shares).sum(0)
    return np.asarray(total - np.logaddexp.reduce(total, axis=1, keepdims=True), np.float32)
