"""The drawn sample: the same seed, the same bytes, in the layout that normalize reads."""

import csv
import io
from collections import Counter
from pathlib import Path

import numpy as np

from stages.data.archive import Archive
from stages.images.settings import Sample
from stages.tasks.cifar10 import CLASSES, raw, sample
from tests.conftest import task_settings

SETTINGS = task_settings("cifar10", source="sample", on_bad="error", dev_fraction=0.2, sample=Sample(train=50, test=12))


def make(out: Path, seed: int = 1) -> Path:
    sample.make(out, SETTINGS, seed)
    return out / "cifar-10.zip"


def rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def test_the_same_seed_draws_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    first, same, other = (make(tmp_path / name, seed).read_bytes() for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert first == same
    assert first != other


def test_every_class_has_its_share_of_the_training_images_in_no_order(tmp_path: Path) -> None:
    header, *lines = rows(Archive(make(tmp_path)).read("trainLabels.csv"))
    assert header == ["id", "label"]
    assert [number for number, _ in lines] == [str(number) for number in range(1, 51)]
    labels = [label for _, label in lines]
    assert Counter(labels) == dict.fromkeys(CLASSES, 5)
    assert labels not in (sorted(labels), list(CLASSES) * 5)


def test_the_archive_packs_without_rejects_and_no_image_comes_twice(tmp_path: Path) -> None:
    stats = raw.pack([Archive(make(tmp_path / "raw"))], tmp_path / "out", SETTINGS, 1)
    assert stats.num == {"train": 40, "dev": 10, "test": 12}
    assert stats.rejected == []
    images = np.concatenate([np.load(tmp_path / "out" / split / "images.npy") for split in ("train", "dev", "test")])
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 62
    assert min(stats.std) > 20


def test_a_drawing_differs_each_time() -> None:
    random = np.random.default_rng(0)
    for name in CLASSES:
        first, second = sample.draw(name, random), sample.draw(name, random)
        assert first.shape == (32, 32, 3) and first.dtype == np.uint8 and (first != second).any()
