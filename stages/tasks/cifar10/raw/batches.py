"""The data set's own python version: batches as pickled dictionaries of images and labels."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.core.errors import InputError
from stages.data import pickles
from stages.data.archive import Archive
from stages.images.raw.packing import Item
from stages.tasks.cifar10 import CLASSES, SIDE

TRAIN, TEST = re.compile(r"data_batch_\d+"), "test_batch"
NAME = "CIFAR-10, python version"
IGNORED = r"(.*/)?(batches\.meta|readme\.html)"


def holds(names: list[str]) -> bool:
    """Whether these files are of this layout."""
    return any(TRAIN.fullmatch(PurePosixPath(name).name) for name in names)


def read(archives: list[Archive]) -> Iterator[Item]:
    """Yield every image. The labelled test batch is both the dev split and, numbered from 1, the test split.

    Raises InputError for a damaged batch, missing keys, wrong shapes, and like `check_once`.
    """
    check_once(archives, TRAIN, TEST)
    for archive in archives:
        wanted = {name for name in archive.names if holds([name]) or PurePosixPath(name).name == TEST}
        for member, content in archive.members(wanted):
            where = f"{archive.path}: {member}"
            images, labels, names = _decode(_unpickle(content, where), where)
            is_test = PurePosixPath(member).name == TEST
            for index, (image, label) in enumerate(zip(images, labels, strict=True)):
                name = names[index] if names else f"{PurePosixPath(member).name}#{index}"
                problem = None if 0 <= label < len(CLASSES) else f"the label {label} is not one of 0 to {len(CLASSES) - 1}"
                yield Item("dev" if is_test else "train", name, f"{where}: image {index} ({name})", image, label, problem)
                if is_test:
                    yield Item("test", str(index + 1), f"{where}: image {index}", image, None, None)


def check_once(archives: list[Archive], train: re.Pattern[str], test: str) -> None:
    """Raises InputError unless there is one test batch, and no training batch twice, as in the folder of an old copy."""
    counts = Counter(PurePosixPath(name).name for archive in archives for name in archive.names)
    for name in (test, *filter(train.fullmatch, counts)):
        if counts[name] != 1:
            raise InputError(f"{archives[0].path.parent}: {counts[name]} members are called {name}, but there must be one")


def _unpickle(content: bytes, where: str) -> dict[bytes, Any]:
    batch = pickles.load(content, where)
    if not isinstance(batch, dict):
        raise InputError(f"{where}: is not a dictionary of images and labels")
    return {key.encode(errors="replace") if isinstance(key, str) else key: value for key, value in batch.items()}


def _decode(batch: dict[bytes, Any], where: str) -> tuple[np.ndarray, list[int], list[str]]:
    """Return images (N, 32, 32, 3) uint8, N labels, and N or no names."""
    array, labels, names = batch.get(b"data"), batch.get(b"labels"), batch.get(b"filenames", [])
    data = array.numbers if isinstance(array, pickles.Array) else None
    if data is None or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE:
        raise InputError(f"{where}: 'data' must be an array of N x {3 * SIDE * SIDE} bytes")
    if not isinstance(labels, list) or len(labels) != len(data) or not all(type(label) is int for label in labels):
        raise InputError(f"{where}: 'labels' must be a list of {len(data)} whole numbers, one per image")
    if (
        not isinstance(names, list)
        or len(names) not in (0, len(data))
        or not all(isinstance(name, str | bytes) for name in names)
    ):
        raise InputError(f"{where}: 'filenames' must be a list of {len(data)} names, one per image")
    images = data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    encoded = [name.encode(errors="replace") if isinstance(name, str) else name for name in names]
    return images, labels, [name.decode(errors="replace") for name in encoded]
