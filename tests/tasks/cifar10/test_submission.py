"""The submission has Kaggle's format and the sample's ids in the sample's order, or is refused."""

from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.tasks.cifar10 import submission

PREDICTED = {"1": "cat", "2": "dog", "3": "ship", "10": "frog"}


def write(folder: Path, sample: bytes | None, predicted: dict[str, str] = PREDICTED) -> list[Path]:
    predictions, features = folder / "predictions", folder / "features"
    for path in (predictions, features):
        path.mkdir(exist_ok=True)
    lines = ["name,predicted,probability", *(f"{name},{label},0.5000" for name, label in predicted.items())]
    (predictions / "test.csv").write_text("".join(f"{line}\n" for line in lines))
    if sample is not None:
        (features / "sample_submission.csv").write_bytes(sample)
    return submission.write(predictions, features, folder / "out")


def test_ids_come_in_the_sample_s_order(tmp_path: Path) -> None:
    [path] = write(tmp_path, b"\xef\xbb\xbfid,label\r\n3,cat\r\n1,cat\r\n10,cat\r\n2,cat\r\n\r\n")
    assert path == tmp_path / "out" / "submission.csv"
    assert path.read_bytes() == b"id,label\n3,ship\n1,cat\n10,frog\n2,dog\n"


def test_without_a_sample_ids_come_as_numbers(tmp_path: Path) -> None:
    [path] = write(tmp_path, None, dict(reversed(PREDICTED.items())))
    assert path.read_bytes() == b"id,label\n1,cat\n2,dog\n3,ship\n10,frog\n"


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (b"id,class\n1,cat\n2,cat\n3,cat\n10,cat\n", "line 1: must be id,label, but is 'id,class'"),
        (b"id,label\n1,cat\n2,cat\n3,cat\n4,cat\n", "line 5: id '4' is none of the 4 test images"),
        (b"id,label\n1,cat\n2,cat\n3,cat\n", "lists 3 of the 4 test images; id '10' is missing"),
    ],
)
def test_a_sample_that_does_not_match_the_test_images_is_named(sample: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        write(tmp_path, sample)
    assert str(caught.value).startswith(f"{tmp_path / 'features' / 'sample_submission.csv'}: {words}")
    assert not (tmp_path / "out" / "submission.csv").exists()


def test_a_prediction_that_is_no_class_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"test\.csv: line 3: the prediction 'cow' for 2 must be one of the ten class names"
    ):
        write(tmp_path, None, PREDICTED | {"2": "cow"})
    assert not (tmp_path / "out" / "submission.csv").exists()


@pytest.mark.parametrize("sample", [None, b"id,label\n3,cat\n1,cat\n10,cat\n2,cat\n"], ids=["numbers", "sample"])
def test_a_file_passes_as_it_was_written_and_not_with_another_label(sample: bytes | None, tmp_path: Path) -> None:
    [path] = write(tmp_path, sample)
    assert submission.check(path, tmp_path / "features", tmp_path / "predictions") == 4
    path.write_text(path.read_text().replace("frog", "toad"))
    with pytest.raises(InputError, match=r"line \d: the label 'toad' of '10' must be one of the ten class names"):
        submission.check(path, tmp_path / "features", tmp_path / "predictions")
