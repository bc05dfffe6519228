"""The submission file for a folder of images: id,label, where the id is the file's name below test/."""

from pathlib import Path

from stages.results.submission_file import ClassFile
from stages.tasks.image_folder import HEADER
from stages.tasks.image_folder.statistics import Stats


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`, or nothing if there is no test split.

    Raises InputError for a prediction that is not a class.
    """
    return _file(features).write(predictions, features, out) if (predictions / "test.csv").is_file() else []


def check(file: Path, features: Path, predictions: Path) -> int:
    """Return the number of rows of a submission file. Raises InputError, naming the first wrong line."""
    return _file(features).check(file, features, predictions)


def _file(features: Path) -> ClassFile:
    return ClassFile(HEADER, Stats.read(features).classes, "one of the classes")
