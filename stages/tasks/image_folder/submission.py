"""The predicted class of each image in test/: id,label, the id being the file's name below test/."""

import json
from pathlib import Path

from stages.results.submission_file import ClassFile
from stages.tasks.image_folder import HEADER


def write(predictions: Path, features: Path, out: Path) -> list[Path]:
    """Write `out`/submission.csv from test.csv in `predictions`; nothing where the folder has no test/.

    Raises InputError for predictions that are no class.
    """
    return _file(features).write(predictions, features, out) if (predictions / "test.csv").is_file() else []


def check(file: Path, features: Path, predictions: Path) -> int:
    """The number of rows of a submission file. Raises InputError that names the first line which cannot be uploaded."""
    return _file(features).check(file, features, predictions)


def _file(features: Path) -> ClassFile:
    return ClassFile(HEADER, json.loads((features / "stats.json").read_text())["classes"], "one of the classes")
