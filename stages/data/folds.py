"""Cross-validation: one of several parts of the training data as the dev split, for data without one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from stages.config.schema import Fold
from stages.core.errors import InputError


def stratified(classes: Mapping[str, str | int], fold: Fold, seed: int) -> set[str]:
    """Return the names of the fold's items, which depend only on `seed` and `classes`. classes: item name -> class.

    The sizes of folds differ by at most one, in total and in each class. The only item of a class is in no fold, so it is
    always trained on. Raises InputError if there are fewer items than folds.
    """
    by_class: defaultdict[str | int, list[str]] = defaultdict(list)
    for name in sorted(classes):
        by_class[classes[name]].append(name)
    random, order = np.random.default_rng(seed), list[str]()
    for label in sorted(by_class, key=str):
        names = by_class[label]
        order += [names[index] for index in random.permutation(len(names))] if len(names) > 1 else []
    return dealt(order, fold, "images")


def dealt(order: Sequence[str], fold: Fold, things: str) -> set[str]:
    """Return the fold's share when `order` is dealt out in turn. Raises InputError if it is shorter than there are folds."""
    if len(order) < fold.of:
        raise InputError(f"fold: {fold.of} folds need at least as many {things}, but there are {len(order)}; lower `of`")
    return set(order[fold.number :: fold.of])


def refuse(fold: Fold | None, where: object) -> None:
    """Raise InputError if `fold` is set. where: the data, or the part of them, with a dev split."""
    if fold is not None:
        raise InputError(f"{where}: has a dev split of its own, which a fold cannot replace; leave `fold` empty")
