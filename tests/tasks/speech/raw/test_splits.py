"""The split of each utterance: speakers stay together, and folds are parts of those that are not test's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.tasks.speech.raw import splits


def keys(folder: str, speakers: range, each: int) -> list[str]:
    return [f"{folder}/{who}/7/{who}-7-{number:04d}" for who in speakers for number in range(each)]


def speaker(key: str) -> str:
    return key.split("/")[1]


@given(st.integers(3, 25), st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**32), st.booleans())
def test_every_speaker_is_dev_once_or_always_test(speakers: int, each: int, of: int, seed: int, with_test: bool) -> None:
    given_ = keys("some", range(speakers), each) + (keys("test-clean", range(100, 102), 2) if with_test else [])
    without = splits.of(given_, None, seed)
    rest = {speaker(key) for key, split in without.items() if split != "test"}
    if len(rest) < of:
        with pytest.raises(InputError, match=rf"fold: {of} folds need at least as many speakers .* are {len(rest)}"):
            splits.of(given_, Fold(of, 0), seed)
        return
    dev: list[str] = []
    for number in range(of):
        found = splits.of(given_, Fold(of, number), seed)
        assert [key for key in given_ if found[key] == "test"] == [key for key in given_ if without[key] == "test"]
        sets = [{speaker(key) for key in given_ if found[key] == split} for split in ("train", "dev", "test")]
        assert sum(map(len, sets)) == len(set.union(*sets)), "a speaker is in one split"
        assert all(sets[:2])
        dev += [key for key in given_ if found[key] == "dev"]
    assert sorted(dev) == sorted(key for key in given_ if without[key] != "test")


def test_one_speaker_alone_is_divided_by_utterance() -> None:
    given_ = [*keys("some", range(1), 10), *keys("test", range(1, 2), 2)]
    dev = [key for number in range(5) for key, split in splits.of(given_, Fold(5, number), 0).items() if split == "dev"]
    assert sorted(dev) == sorted(given_[:10])


def test_a_dev_folder_is_not_replaced() -> None:
    given_ = keys("train", range(5), 2) + keys("dev-clean", range(5, 7), 2)
    with pytest.raises(InputError, match=r"^dev-clean/5/7/5-7-0000: has a dev split of its own.*leave `fold` empty$"):
        splits.of(given_, Fold(2, 0), 0)


@pytest.mark.parametrize("dev", ["val", "valid", "validation", "Val_set", "dev-clean"])
@pytest.mark.parametrize("top", ["", "train-data/", "a/train_dev_test/", "test-corpus/"])
def test_the_splits_are_named_by_folders_below_the_path_that_all_recordings_share(top: str, dev: str) -> None:
    named = {"train": "train", dev: "dev", "TEST": "test"}
    given_ = {key: split for folder, split in named.items() for key in keys(f"{top}{folder}", range(3), 2)}
    assert splits.of([*given_], None, 0) == given_


@pytest.mark.parametrize("top", ["", "train/", "a/train-data/"])
def test_a_folder_that_all_recordings_share_names_their_split_if_no_other_does(top: str) -> None:
    found = splits.of(keys(f"{top}some", range(9), 2), None, 0)
    assert {*found.values()} == {"train", "dev", "test"}
    assert {*splits.of(keys("train/test-corpus", range(9), 2), None, 0).values()} == {"test"}


def people(path: str, *names: str) -> list[str]:
    """Keys of recordings in three sessions of each person."""
    return [f"{path}{name}/{session}/{number}" for name in names for session in ("mon", "tue", "wed") for number in "01"]


@pytest.mark.parametrize("top", ["", "own/recordings/"])
@pytest.mark.parametrize("with_test", [False, True])
def test_a_speaker_is_the_first_folder_below_the_path_that_all_share(top: str, with_test: bool) -> None:
    names = ["ann", "bob", "cy", "dan", "eve"]
    given_ = people(f"{top}train/x/" if with_test else top, *names) + (people(f"{top}test/", "zed") if with_test else [])
    found = splits.of(given_, None, 0)
    sets = [{key.split("/")[-3] for key in given_ if found[key] == split} for split in ("train", "dev", "test")]
    assert [len(each) for each in sets] == ([4, 1, 1] if with_test else [3, 1, 1])
    assert sum(map(len, sets)) == len(set.union(*sets)), "a speaker is in one split"


def test_where_the_first_folders_are_too_few_a_speaker_is_the_innermost() -> None:
    given_ = [f"{sex}/{sex}{who}/{number}" for sex in "fm" for who in range(5) for number in range(2)]
    found = splits.of(given_, None, 0)
    sets = [{key.split("/")[1] for key in given_ if found[key] == split} for split in ("train", "dev", "test")]
    assert [len(each) for each in sets] == [8, 1, 1] and len(set.union(*sets)) == 10
