"""docs/EXTENDING.md, done literally: its files and blocks go into a copy of the project, its commands are run."""

import csv
import json
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.conftest import EXTENDING, ROOT, Checkout, change_params, commands_of

RUNS = {"conv_mixer": 20, "digit_resnet": 200}  # and their numbers of test images


def new_files(folder: Path) -> set[str]:
    files = {file.relative_to(folder).as_posix() for file in (folder / "stages").rglob("*.py")}
    return {file for file in files if not (ROOT / file).is_file()}


def test_nothing_but_new_files_and_blocks_is_needed(extended: Path) -> None:
    outside = {file for file in new_files(extended) if not file.startswith("stages/tasks/digits/")}
    assert outside == {"stages/images/models/conv_mixer.py"}
    assert (ROOT / "dvc.yaml").read_text().startswith((extended / "dvc.yaml").read_text())
    changed = Checkout(extended).run("git diff --name-only HEAD~1").split()
    assert {name.split("/")[0] for name in changed} == {"dvc.lock", "metrics"}


def test_the_files_are_as_the_rest_of_the_house(extended: Path) -> None:
    files = " ".join([*new_files(extended), "stages/images/settings.py"])
    Checkout(extended).run(f"ruff check {files} && ruff format --check {files}")


@pytest.mark.parametrize("run", RUNS)
def test_the_new_run_has_metrics_and_a_submission(extended: Path, run: str) -> None:
    metrics = json.loads((extended / f"metrics/{run}/evaluate.json").read_text())
    header, *rows = csv.reader((extended / f"data/submissions/{run}/submission.csv").read_text().splitlines())
    assert metrics["epoch"] > 1 and metrics["dev"]["num"] == {"conv_mixer": 10, "digit_resnet": 100}[run]
    assert header in (["id", "label"], ["ImageId", "Label"])
    assert [row[0] for row in rows] == [str(number) for number in range(1, RUNS[run] + 1)]


def test_the_new_task_can_be_learnt(extended: Path) -> None:
    assert json.loads((extended / "metrics/digit_resnet/evaluate.json").read_text())["dev"]["accuracy"] > 0.5


def test_the_report_has_the_new_runs(extended: Path) -> None:
    page = (extended / "data/report/index.html").read_text()
    assert all(f">{run}<" in page for run in RUNS)


def test_the_new_task_does_what_the_others_do(checkout: Checkout) -> None:
    """The document's other commands, which need what `dvc repro` has made, and a digit to look at."""
    image = np.zeros((56, 56, 3), np.uint8)
    cv2.putText(image, "7", (12, 44), cv2.FONT_HERSHEY_SIMPLEX, 1.4, (255, 255, 255), 3, cv2.LINE_AA)
    cv2.imwrite(str(checkout.folder / "digit.png"), image)
    said = "".join(checkout.run(command) for command in commands_of(EXTENDING) if not command.startswith("dvc "))
    assert re.search(r"^digit\.png: [0-9] \d+\.\d%, ", said, re.M), said
    card = (checkout.folder / "exports/digit_resnet/README.md").read_text()
    assert card.startswith("# digit_resnet: which digit is in a picture")


def test_the_new_task_names_a_damaged_line(checkout: Checkout) -> None:
    [archive] = (checkout.folder / "data/archives/digits").iterdir()
    with zipfile.ZipFile(archive) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    lines = contents["train.csv"].split(b"\n")
    lines[3] = lines[3].replace(b",0,", b",256,", 1)
    archive.unlink()
    with zipfile.ZipFile(archive, "w") as new:
        new.writestr("train.csv", b"\n".join(lines))
        new.writestr("test.csv", contents["test.csv"])
    said = checkout.run("python -m stages.normalize digits 2>&1 || true")
    assert said.startswith("error: data/archives/digits/digits.zip: train.csv: line 4: must be 784 grey values"), said
    change_params(checkout.folder / "params.yaml", tasks__digits__on_bad="skip")
    said = checkout.run("python -m stages.normalize digits")
    assert "items: 899 train, 100 dev, 200 test\nsubmission: submission.csv (ImageId,Label)\nleft out: " in said
