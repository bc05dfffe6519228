"""HW3P2 of 2021: symbols by their places among 42, in the order of the files."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.config.schema import Fold
from stages.data.understood import lines
from stages.tasks.speech import submission
from tests.tasks.speech.raw.packing import WriteZip, naive_normalize, pack, problem, read

# As the course lists them, after the blank.
LISTED = "SIL SPN AA AE AH AO AW AY B CH D DH EH ER EY F G H IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH"
CHARACTERS = ".!aAhowybcdDerEfgHiIjklmnNOYpRsStTuUvW?zZ"
SYMBOLS = LISTED.split()
RANDOM = np.random.default_rng(0)
LENGTHS = {"train": (30, 21, 44), "dev": (12, 15), "test": (9, 8, 31, 14)}
FRAMES = {split: [RANDOM.normal(3, 7, (num, 40)) for num in lengths] for split, lengths in LENGTHS.items()}
LABELS = {"train": [[1, 3, 18, 1], [*range(1, 22)], [*range(22, 42), 1]], "dev": [[1, 2, 5, 1], [8, 8]]}


def objects(values: list[Any], dtype: Any = None) -> bytes:
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = np.array(value, dtype)
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def term(**changes: Any) -> dict[str, bytes]:
    """The archive; changes by a file's stem."""
    files = {split: objects(frames, np.float32) for split, frames in FRAMES.items()}
    files |= {f"{split}_labels": objects(labels) for split, labels in LABELS.items()} | changes
    members = {f"HW3P2_Data/{name}.npy": content for name, content in files.items() if content is not None}
    return members | {"HW3P2_Data/phoneme_list.py": b"N_PHONEMES = 41"}


def theirs(split: str, index: int) -> list[str]:
    """The symbols of a transcript by our names."""
    ours = {"SIL": "[SIL]", "H": "HH"}
    found = [SYMBOLS[place - 1] for place in LABELS[split][index]]
    return [ours.get(symbol, symbol) for symbol in found if symbol != "SPN"]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_frame_and_phoneme_arrives_in_the_order_of_the_files(dtype: Any, write_zip: WriteZip, tmp_path: Path) -> None:
    files = {split: objects(frames, dtype) for split, frames in FRAMES.items()}
    stats = pack(write_zip("a.zip", term(**files)), tmp_path / "out")
    for split, frames in FRAMES.items():
        found = list(read(tmp_path / "out", split).values())
        for index, (ours, original) in enumerate(zip(found, frames, strict=True)):
            np.testing.assert_allclose(ours[0], naive_normalize(original), atol=1e-5)
            assert ours[1] == ([] if split == "test" else theirs(split, index))
    assert stats.converted == {"an unknown word (spn) left out of a transcript": 2}
    assert lines(stats.understood) == [
        "layout: HW3P2 of 2021, 40 features a frame",
        "classes: 40 phonemes",
        "items: 3 train, 2 dev, 4 test",
        "submission: submission.csv (id,label)",
    ]


def test_the_submission_has_the_characters_of_2021() -> None:
    names, found = {"SIL": "[SIL]", "H": "HH"}, submission._letters("2021")
    by_symbol = dict(zip(submission.SYMBOLS, submission.CHARACTERS, strict=True))
    for symbol, character in zip(SYMBOLS, CHARACTERS, strict=True):
        assert found.get(by_symbol.get(names.get(symbol, symbol), "none")) == (character if symbol != "SPN" else None)


def test_there_may_be_no_test_utterances(write_zip: WriteZip, tmp_path: Path) -> None:
    assert pack(write_zip("a.zip", term(test=None)), tmp_path / "out").num["test"] == 0
    message = problem(write_zip("b.zip", term(test=objects([]))), tmp_path / "empty")
    assert message.endswith("HW3P2_Data/test.npy: holds no utterance; remove the file if there is nothing to submit")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dev_labels": None},
            "looks like HW3P2 ({train,dev,test}.npy and {train,dev}_labels.npy), but there are no dev_labels",
        ),
        ({"dev": objects(FRAMES["dev"][:1])}, "dev_labels.npy: has 2 transcripts for the 1 utterances of dev.npy"),
        ({"dev": objects(FRAMES["dev"])[:-9]}, "dev.npy: damaged or cut short"),
        (
            {"dev_labels": objects(LABELS["dev"], object)},
            "dev_labels.npy: must hold only arrays of numbers, one per utterance",
        ),
        (
            {"train_labels": objects([[5] * len(frames) for frames in FRAMES["train"]])},
            "looks like HW1P2: its transcripts have a symbol for every frame",
        ),
        ({"x/dev": objects(FRAMES["dev"])}, "there are 2 files called dev.npy; give one of them"),
    ],
)
def test_files_that_do_not_fit_are_refused(changes: dict[str, Any], words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    message = problem(write_zip("a.zip", term(**changes)), tmp_path / "out")
    assert words in message and "on_bad" not in message


def test_the_same_array_twice_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    """A pickle of a few bytes could stand for any number of utterances."""
    array = np.empty(1000, object)
    array[:] = [FRAMES["dev"][0]] * 1000
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    message = problem(write_zip("a.zip", term(test=content.getvalue())), tmp_path / "out")
    assert message.endswith("test.npy: holds the same array more than once")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"dev_labels": objects([[1, 2, 5], [8, 71]])}, "holds 71, which is not one of 1 to 41"),
        ({"dev_labels": objects([[1, 2, 5], [2]])}, "holds no phoneme"),
        ({"dev_labels": objects([[1, 2, 5], [[8.0]]])}, "must be a row of whole numbers, but has shape (1, 1)"),
        ({"dev": objects([FRAMES["dev"][0], FRAMES["dev"][1][0]])}, "must be numbers, frames x coefficients"),
        ({"dev": objects([FRAMES["dev"][0], np.full((3, 40), np.nan)])}, "frame 0 is not finite"),
        (
            {"dev": objects([FRAMES["dev"][0], np.ones((3, 39))])},
            "has 39 coefficients, but the utterances before it have 40",
        ),
    ],
)
def test_a_bad_utterance_is_named_or_left_out_when_so_asked(
    changes: dict[str, Any], words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", term(**changes))
    assert f"{next(iter(changes))}.npy: utterance 1: {words}" in problem(path, tmp_path / "out")
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip").rejected
    assert rejected.reason.startswith(words)


def test_a_fold_in_place_of_its_dev_split_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    message = problem(write_zip("raw/a.zip", term()), tmp_path / "out", Fold(2, 0))
    assert message.startswith(f"{tmp_path / 'raw'}: has a dev split of its own")
