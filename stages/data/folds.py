"""Cross-validation: one of several parts of the training data as its dev split, where the data come without one."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from stages.config.schema import Fold
from stages.core.errors import InputError


def stratified(classes: Mapping[str, str | int], fold: Fold, seed: int) -> set[str]:
    """The names of the fold's items, by the seed and the items alone. classes: of each item by its name.

    Of each class, and of all, a fold has as many items as any other, or one more. What is alone in its class is in no fold
    and only trains. Raises InputError: fewer items than folds.
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
    """The fold's share, where the folds are dealt one after the other. Raises InputError: fewer things than folds."""
    if len(order) < fold.of:
        raise InputError(f"fold: {fold.of} folds need at least as many {things}, and there are {len(order)}; lower `of`")
    return set(order[fold.number :: fold.of])


def refuse(fold: Fold | None, where: object) -> None:
    """Raises InputError if a fold is asked for. where: the data, or a part of them, that have a dev split of their own."""
    if fold is not None:
        raise InputError(f"{where}: has a dev split of its own, in place of which no fold is taken; leave `fold` empty")
