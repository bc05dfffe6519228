"""A row for each image of test/; no file where there is none."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.features import PICTURES, write_stats
from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.tasks.image_folder import submission


def features(tmp_path: Path) -> Path:
    write_stats(tmp_path, replace(PICTURES, classes=["a, b", "c"]))
    return tmp_path


def test_a_row_for_each_test_image(tmp_path: Path) -> None:
    write_table(tmp_path / "test.csv", ["name", "predicted"], [("x/2.jpg", "c"), ("1.jpg", "a, b")])
    [file] = submission.write(tmp_path, features(tmp_path), tmp_path)
    assert file.name == "submission.csv" and file.read_text() == 'id,label\n1.jpg,"a, b"\nx/2.jpg,c\n'
    assert submission.check(file, tmp_path, tmp_path) == 2
    file.write_text(file.read_text().replace("jpg,c", "jpg,d"))
    with pytest.raises(InputError, match=r"line 3: the label 'd' of 'x/2\.jpg' must be one of the classes"):
        submission.check(file, tmp_path, tmp_path)


def test_no_test_images_no_file(tmp_path: Path) -> None:
    assert submission.write(tmp_path, features(tmp_path), tmp_path) == []
