"""The drawn sample: the same seed, the same bytes, in the layout of spring 2023, beyond a comparison of pixels."""

import csv
import io
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.data.archive import Archive
from stages.tasks.faces import UNKNOWN, sample
from stages.tasks.faces.sample.drawing import draw
from stages.tasks.faces.settings import Sample
from tests.conftest import task_settings

SIZES = Sample(identities=6, train=4, dev=2, test=3, known=5, unknown=18)
SETTINGS = task_settings("faces", source="sample", on_bad="error", side=None, sample=SIZES)
CLASSIFICATION, VERIFICATION = "11-785-s23-hw2p2-classification", "11-785-s23-hw2p2-verification"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("faces")
    sample.make(out, SETTINGS, 1)
    return out


def members(folder: Path, top: str) -> dict[str, bytes]:
    """Content by path below the archive's top folder."""
    archive = Archive(folder / f"{top}.zip")
    return {name.removeprefix(f"{top}/"): content for name, content in archive.members(set(archive.names))}


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def people(names: dict[str, bytes], split: str) -> Counter[str]:
    """How many images each identity's folder in `split` holds."""
    return Counter(name.split("/")[1] for name in names if name.startswith(f"{split}/"))


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    for seed in (1, 2):
        sample.make(tmp_path / str(seed), SETTINGS, seed)
    for top in (CLASSIFICATION, VERIFICATION):
        first = (folder / f"{top}.zip").read_bytes()
        assert first == (tmp_path / "1" / f"{top}.zip").read_bytes()
        assert first != (tmp_path / "2" / f"{top}.zip").read_bytes()
    assert {path.name for path in folder.iterdir()} == {f"{CLASSIFICATION}.zip", f"{VERIFICATION}.zip"}


def test_the_verification_shows_other_identities_than_the_classification(folder: Path) -> None:
    known = people(members(folder, VERIFICATION), "known")
    assert len(known) == 5
    assert set(known.values()) == {1}
    assert not set(known) & (set(people(members(folder, CLASSIFICATION), "train")) | {UNKNOWN})


def test_five_in_six_of_the_images_to_verify_are_of_somebody_known(folder: Path) -> None:
    names = members(folder, VERIFICATION)
    header, *lines = rows(names["verification_dev.csv"])
    labels = Counter(label for _, label in lines)
    assert header == ["id", "label"]
    assert [index for index, _ in lines] == [str(index) for index in range(18)]
    assert labels.pop(UNKNOWN) == 3
    assert labels == dict.fromkeys(people(names, "known"), 3)
    for split in ("unknown_dev", "unknown_test"):
        files = sorted(name for name in names if name.startswith(f"{split}/"))
        assert files == [f"{split}/{index:05d}.jpg" for index in range(18)]
    expected = [["id", "label"], *([str(index), UNKNOWN] for index in range(18))]
    assert rows(names["verification_sample_submission.csv"]) == expected
    assert len(names) == 5 + 18 + 18 + 2


def test_every_image_is_in_colour_and_none_comes_twice(folder: Path) -> None:
    contents = [
        content
        for top in (CLASSIFICATION, VERIFICATION)
        for name, content in members(folder, top).items()
        if name.endswith(".jpg")
    ]
    assert len(set(contents)) == len(contents) == 6 * 9 + 5 + 2 * 18
    assert all(pixels(content).shape == (48, 48, 3) for content in contents)


def test_the_labels_say_who_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing but the identity changes an image, equal images are of one identity, and of one label."""
    monkeypatch.setattr(sample, "draw", lambda person, _: draw(person, np.random.default_rng(0)))
    sample.make(tmp_path, SETTINGS, 1)
    verification, classification = members(tmp_path, VERIFICATION), members(tmp_path, CLASSIFICATION)

    who = {content: name.split("/")[1] for name, content in verification.items() if name.startswith("known/")}
    shown = [who.get(content, UNKNOWN) for name, content in sorted(verification.items()) if name.startswith("unknown_dev/")]
    assert shown == [label for _, label in rows(verification["verification_dev.csv"])[1:]]

    who = {content: name.split("/")[1] for name, content in classification.items() if name.startswith("train/")}
    assert len(who) == 6
    assert all(who[content] == name.split("/")[1] for name, content in classification.items() if name.startswith("dev/"))
    order = [who[content] for name, content in sorted(classification.items()) if name.startswith("test/")]
    assert Counter(order) == dict.fromkeys(who.values(), 3)
    assert order != sorted(order)


def test_comparing_pixels_does_not_find_who_it_is(tmp_path: Path) -> None:
    """The nearest of twenty by the cosine of grey pixels, their means taken off: chance is one in twenty."""
    sizes = Sample(identities=1, train=1, dev=1, test=1, known=20, unknown=120)
    sample.make(tmp_path, task_settings("faces", source="sample", on_bad="error", side=None, sample=sizes), 3)
    names = members(tmp_path, VERIFICATION)

    def vectors(split: str) -> np.ndarray:
        grey = np.stack([pixels(names[n]).mean(axis=2).ravel() for n in sorted(names) if n.startswith(f"{split}/")])
        centred = grey - grey.mean(axis=1, keepdims=True)
        return np.asarray(centred / np.linalg.norm(centred, axis=1, keepdims=True))

    known = sorted(people(names, "known"))
    nearest = (vectors("unknown_dev") @ vectors("known").T).argmax(axis=1)
    pairs = [(known[best], label) for best, (_, label) in zip(nearest, rows(names["verification_dev.csv"])[1:], strict=True)]
    assert np.mean([best == label for best, label in pairs if label != UNKNOWN]) < 0.25
