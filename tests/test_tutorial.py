"""docs/TUTORIAL.md, done literally: its blocks go into a copy of the project, its commands are run on drawn pictures."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from tests.conftest import FENCED, ROOT, TUTORIAL, Checkout, change_params, copy_project, follow

pytestmark = pytest.mark.slow

CLASSES = ("frog", "horse", "ship")  # as in the document
# For the sake of time alone: the run on sample data is not what the page is about.
SMALL = {
    "tasks__cifar10__sample": {"train": 120, "test": 20},
    "runs__custom_resnet__sample__epochs": 1,
    "runs__custom_resnet__optimizer__lr": 0.002,
}


def draw(file: Path, name: str, seed: int) -> None:
    """A picture that says of which class it is by its colour."""
    pixels = np.random.default_rng(seed).integers(0, 60, (48 + seed, 64, 3), np.uint8)
    pixels[..., CLASSES.index(name)] += 150
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), pixels)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, str]]:
    """The project after all commands, and what they printed."""
    folder = tmp_path_factory.mktemp("tutorial")
    checkout = Checkout(folder / "pipeline")
    for name in CLASSES:
        for number in range(1, 25):
            draw(folder / "pictures" / name / f"{number:03}.jpg", name, number)
    draw(folder / "photo.jpg", "ship", 99)
    copy_project(checkout.folder)
    follow(TUTORIAL, checkout.folder)
    change_params(checkout.folder / "params.yaml", **SMALL)
    checkout.run("git init -qb main && git add . && git commit -qm project")
    printed = "".join(
        checkout.run(command)
        for block in FENCED.finditer(TUTORIAL.read_text())
        if block["language"] == "sh"
        for command in block["text"].splitlines()
    )
    yield checkout, printed


def masked(text: str) -> set[str]:
    """The lines of a text without what differs from data to data: numbers, names of classes and commits, spaces."""
    for pattern, mask in (
        (r"\b[0-9a-f]{7}\b", "commit"),
        (r"-?\d[\d.]*(e-\d+)?", "0"),
        (r"\b(AM|PM)\b", "M"),
        (r"\bthreads?\b", "threads"),
        (rf"\b({'|'.join(CLASSES)})\b", "class"),
        (r"[ \t]+", " "),
    ):
        text = re.sub(pattern, mask, text)
    return {line.strip() for line in text.splitlines() if line.strip() not in ("", "…")}


def test_what_the_commands_print_is_what_the_page_shows(followed: tuple[Checkout, str]) -> None:
    shown = "".join(block["text"] for block in FENCED.finditer(TUTORIAL.read_text()) if block["language"] == "text")
    equal = {"metrics/first.json dev.accuracy 0 0 0"}  # a row that is left out where the two are
    assert masked(shown) - masked(followed[1]) <= equal


def test_the_run_has_metrics_predictions_and_a_place_in_the_report(followed: tuple[Checkout, str]) -> None:
    folder = followed[0].folder
    dev = json.loads((folder / "metrics/first/evaluate.json").read_text())["dev"]
    assert dev["accuracy"] == 1 and dev["per_class"] == dict.fromkeys(CLASSES, 1.0)
    assert len((folder / "data/predictions/first/dev.csv").read_text().splitlines()) == 1 + dev["num"]
    assert ">first<" in (folder / "data/report/index.html").read_text()


def test_the_picture_is_recognised(followed: tuple[Checkout, str]) -> None:
    assert re.search(r"^\.\./photo\.jpg: ship \d", followed[1], re.M)


def test_a_folder_test_gives_a_submission(followed: tuple[Checkout, str]) -> None:
    checkout = followed[0]
    assert "data/submissions/first: empty, as there are no test items" in checkout.run("dvc repro submit@first")
    draw(checkout.folder.parent / "pictures/test/1.jpg", "frog", 5)
    checkout.run("dvc repro -fs download@pictures && dvc repro submit@first")
    assert (checkout.folder / "data/submissions/first/submission.csv").read_text() == "id,label\n1.jpg,frog\n"


def test_the_other_runs_are_as_they_were(followed: tuple[Checkout, str]) -> None:
    ours, theirs = (YAML(typ="safe").load(folder / "params.yaml") for folder in (followed[0].folder, ROOT))
    assert ours["runs"].keys() == theirs["runs"].keys() | {"first"}
    lock = YAML(typ="safe").load(followed[0].folder / "dvc.lock")["stages"]
    assert {name.partition("@")[2] for name in lock} == {"cifar10", "custom_resnet", "pictures", "first", ""}
