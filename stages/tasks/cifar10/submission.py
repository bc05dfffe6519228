"""Kaggle's submission file for `cifar-10`: id,label with the class's name."""

from collections.abc import Collection
from pathlib import Path

from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.results.submission_file import read_predictions, read_sample, sample_ids, validate
from stages.tasks.cifar10 import CLASSES

HEADER = ["id", "label"]
LABELS = {name: name for name in CLASSES}
DOMAIN = "one of the ten class names"


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`; where there is a sample submission, in its order.

    Raises InputError: predictions that are no class names; a sample whose header or ids are not those of the test images.
    """
    path, labels = out / "submission.csv", _labels(predictions)
    write_table(path, HEADER, [(name, labels[name]) for name in _ids(features, labels)])
    return [path]


def check(file: Path, features: Path, predictions: Path) -> int:
    """The number of rows of a submission file. Raises InputError that names the first line which cannot be uploaded."""
    return validate(file, HEADER, _ids(features, _labels(predictions)), LABELS.__contains__, DOMAIN)


def _labels(predictions: Path) -> dict[str, str]:
    return read_predictions(predictions / "test.csv", "images", LABELS.get, DOMAIN)


def _ids(features: Path, names: Collection[str]) -> list[str]:
    """The test images in the sample's order or, without one, in that of their numbers."""
    path = features / "sample_submission.csv"
    if not path.is_file():
        return sorted(names, key=_number)
    sample = read_sample(path)
    if sample.header != HEADER:
        raise InputError(f"{path}: line 1: must be {','.join(HEADER)}, but is {','.join(sample.header)!r}")
    return sample_ids(sample, names, "images")


def _number(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isdecimal() else (-1, name)
