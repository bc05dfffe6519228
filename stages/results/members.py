"""The log-probabilities that `evaluate` saves for ensembles, and their mean. N items or frames, K classes.

data/predictions/<run>/ has dev.npy and test.npy, (N, K) float16, whose relative error of 1e-3 only affects ties; for
sequences also dev_offsets.npy and test_offsets.npy, the starts. Arrays above MAX_BYTES are not saved.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stages.core.errors import InputError

MAX_BYTES = 500_000_000  # HW2P2's 35,000 images of 7,000 classes take 490 million
MEANS = ("probabilities", "log-probabilities")


class Member(NamedTuple):
    """A member of an ensemble, a run or another ensemble: its folder in data/predictions and its weight; they sum to 1."""

    name: str
    folder: Path
    weight: float


def fits(*shape: int) -> bool:
    """Whether an array of float16 is small enough to be saved."""
    return 2 * int(np.prod(shape, dtype=object)) <= MAX_BYTES


def read(members: Sequence[Member], name: str) -> list[np.ndarray]:
    """Memory-map the array `name` of each member. Raises InputError if one is missing or their shapes differ."""
    found = []
    for member in members:
        file = member.folder / name
        if not file.is_file():
            raise InputError(
                f"{file}: is missing; the probabilities of {member.name} are not kept above {MAX_BYTES:,} bytes"
            )
        found.append(np.load(file, mmap_mode="r"))
    for member, array in zip(members, found, strict=True):
        if array.shape != found[0].shape:
            shapes = f"{found[0].shape} in {members[0].name}, {array.shape} in {member.name}"
            raise InputError(f"{name}: the members differ in their items or classes: {shapes}")
    return found


def mean(log_probs: Sequence[np.ndarray], weights: Sequence[float] | np.ndarray, of: str) -> np.ndarray:
    """Return the log-probabilities (N, K) float32 of the weighted mean of the M members, (N, K) each. of: one of MEANS.

    weights: one for each member, (M,), or one for each member and item, (M, N). The mean of log-probabilities is normalised
    again; it is the geometric mean of the probabilities.
    """
    stacked = np.stack([array.astype(np.float64) for array in log_probs])
    shares = np.asarray(weights, np.float64).reshape(len(stacked), -1, 1)
    if of == "probabilities":
        return np.asarray(np.logaddexp.reduce(stacked + np.log(shares), axis=0), np.float32)
    total = (stacked * shares).sum(0)
    return np.asarray(total - np.logaddexp.reduce(total, axis=1, keepdims=True), np.float32)
