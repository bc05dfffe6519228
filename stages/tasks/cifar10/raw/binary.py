"""The data set's own binary version: data_batch_1.bin…, test_batch.bin, records of a label and an image."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.images.raw.packing import Item
from stages.tasks.cifar10 import CLASSES, SIDE
from stages.tasks.cifar10.raw.batches import check_once

BATCH, TEST = re.compile(r"data_batch_\d+\.bin|test_batch\.bin"), "test_batch.bin"
RECORD = 1 + 3 * SIDE * SIDE  # bytes: a label, then the pixels, channel by channel
NAME = "CIFAR-10, binary version"
IGNORED = r"(.*/)?(batches\.meta\.txt|readme\.html)"


def holds(names: list[str]) -> bool:
    """Whether these files are of this layout."""
    return any(BATCH.fullmatch(PurePosixPath(name).name) for name in names)


def read(archives: list[Archive]) -> Iterator[Item]:
    """Yield every image. The labelled test batch is both the dev split and, numbered from 1, the test split.

    Raises InputError for incomplete records (CIFAR-100 has two labels), and like `check_once`.
    """
    check_once(archives, BATCH, TEST)
    for archive in archives:
        for member, content in archive.members({name for name in archive.names if holds([name])}):
            name, where = PurePosixPath(member).name, f"{archive.path}: {member}"
            if not content or len(content) % RECORD:
                raise InputError(f"{where}: has {len(content):,} bytes, which are not whole records of {RECORD:,}")
            records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
            images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
            for index, (image, label) in enumerate(zip(images, records[:, 0].tolist(), strict=True)):
                problem = None if label < len(CLASSES) else f"the label {label} is not one of 0 to {len(CLASSES) - 1}"
                split = "dev" if name == TEST else "train"
                yield Item(split, f"{name}#{index}", f"{where}: image {index}", image, label, problem)
                if name == TEST:
                    yield Item("test", str(index + 1), f"{where}: image {index}", image, None, None)
