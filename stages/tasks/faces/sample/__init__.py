"""Drawn faces in the layout of spring 2023, for classification and verification."""

import csv
import io
import zipfile
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from stages.core import paths
from stages.data.archive import write_member
from stages.tasks.faces import UNKNOWN
from stages.tasks.faces.sample.drawing import Identity, draw, identity
from stages.tasks.faces.settings import Sample, Settings

CLASSIFICATION, VERIFICATION = "11-785-s23-hw2p2-classification", "11-785-s23-hw2p2-verification"


def make(out: Path, settings: Settings, seed: int) -> None:
    """Write the two archives into `out`. Equal seeds give equal bytes."""
    random, sizes = np.random.default_rng(seed), settings.sample
    numbers = 1 + random.choice(999_999, sizes.identities + sizes.known, replace=False)
    people = [(f"n{number:06d}", identity(random)) for number in numbers]
    with paths.replacing(out / f"{CLASSIFICATION}.zip") as partial, zipfile.ZipFile(partial, "w") as archive:
        _write_classification(archive, people[: sizes.identities], sizes, random)
    with paths.replacing(out / f"{VERIFICATION}.zip") as partial, zipfile.ZipFile(partial, "w") as archive:
        _write_verification(archive, people[sizes.identities :], sizes, random)


def _write_classification(
    archive: zipfile.ZipFile, people: list[tuple[str, Identity]], sizes: Sample, random: np.random.Generator
) -> None:
    for name, person in people:
        for number in range(1, sizes.train + sizes.dev + 1):
            split = "train" if number <= sizes.train else "dev"
            write_member(archive, f"{CLASSIFICATION}/{split}/{name}/{number:04d}_01.jpg", _jpeg(draw(person, random)))
    order = random.permutation(np.arange(len(people) * sizes.test) % len(people))
    for index, who in enumerate(order):
        write_member(archive, f"{CLASSIFICATION}/test/{index:05d}.jpg", _jpeg(draw(people[who][1], random)))
    guesses = _csv((f"{index:05d}.jpg", 0) for index in range(len(order)))
    write_member(archive, f"{CLASSIFICATION}/classification_sample_submission.csv", guesses)


def _write_verification(
    archive: zipfile.ZipFile, people: list[tuple[str, Identity]], sizes: Sample, random: np.random.Generator
) -> None:
    for name, person in people:
        write_member(archive, f"{VERIFICATION}/known/{name}/0001_01.jpg", _jpeg(draw(person, random)))
    for split in ("unknown_dev", "unknown_test"):
        strangers = [(UNKNOWN, identity(random)) for _ in range(round(sizes.unknown / 6))]
        shown = [people[index % len(people)] for index in range(sizes.unknown - len(strangers))] + strangers
        labels = []
        for index, who in enumerate(random.permutation(len(shown))):
            name, person = shown[who]
            write_member(archive, f"{VERIFICATION}/{split}/{index:05d}.jpg", _jpeg(draw(person, random)))
            labels.append(name)
        if split == "unknown_dev":
            write_member(archive, f"{VERIFICATION}/verification_dev.csv", _csv(enumerate(labels)))
    guesses = _csv((index, UNKNOWN) for index in range(sizes.unknown))
    write_member(archive, f"{VERIFICATION}/verification_sample_submission.csv", guesses)


def _jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _csv(rows: Iterable[tuple[int | str, int | str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "label"), *rows])
    return text.getvalue().encode()
