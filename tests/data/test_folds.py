"""Folds of items: every item in one, classes spread evenly, by the seed and the items alone."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds

items = st.dictionaries(st.text(max_size=4), st.sampled_from("abc"), min_size=0, max_size=60)


def split(classes: dict[str, str], of: int, seed: int) -> list[set[str]]:
    return [folds.stratified(classes, Fold(of, number), seed) for number in range(of)]


@given(items, st.integers(2, 6), st.integers(0, 2**32))
def test_every_item_is_in_one_fold_and_each_class_evenly_in_all(classes: dict[str, str], of: int, seed: int) -> None:
    counts = Counter(classes.values())
    wanted = {name for name, label in classes.items() if counts[label] > 1}
    if len(wanted) < of:
        with pytest.raises(InputError, match=rf"fold: {of} folds need at least as many images, but there are {len(wanted)}"):
            split(classes, of, seed)
        return
    found = split(classes, of, seed)
    assert sorted(name for fold in found for name in fold) == sorted(wanted)
    assert max(map(len, found)) - min(map(len, found)) <= 1
    for label in set(classes.values()):
        sizes = [sum(classes[name] == label for name in fold) for fold in found]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) < counts[label], "the class trains in every fold"
    assert split(dict(reversed(classes.items())), of, seed) == found


def test_another_seed_draws_others() -> None:
    classes = {str(number): number % 3 for number in range(90)}
    drawn = [folds.stratified(classes, Fold(5, 0), seed) for seed in (1, 2)]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(("of", "number"), [(5, 5), (2, 7)])
def test_a_number_that_there_is_not_is_refused(of: int, number: int) -> None:
    with pytest.raises(ValueError, match=rf"number: must be below of \({of}\)"):
        Fold(of, number)
