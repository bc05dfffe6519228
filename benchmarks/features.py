"""Synthetic data in the layout of data/features, of any size, for the tasks' `train_batches`."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stages.data.packed import Ragged, text_row
from stages.data.statistics import Stats, Understood
from stages.tasks.cifar10 import CLASSES, SIDE
from stages.tasks.cifar10.statistics import Stats as Pictures
from stages.tasks.faces.statistics import Stats as Faces
from stages.tasks.speech import NUM_CLASSES, SYMBOLS
from stages.tasks.speech.statistics import Stats as Speech
from stages.tasks.speech.statistics import Submission

FEATURES = 27
DISTINCT = 256  # different images; more repeat these
# Statistics like those of the real data, without what no network needs.
ANY: Any = {"num": {}, "understood": Understood("", "", {}, {}), "rejected": []}
PICTURES = Pictures(**ANY, classes=list(CLASSES), side=SIDE, mean=[127.5] * 3, std=[73.9] * 3, per_class={})
FACES = Faces(
    **ANY,
    classes=[f"n{number:06d}" for number in range(7000)],
    side=224,
    mean=[128.0] * 3,
    std=[60.0] * 3,
    known=[],
    verification={"kind": None},
    submissions={},
    converted={},
)
SPEECH = Speech(
    **ANY,
    submission=Submission(["id", "label"], "2023", []),
    symbols=list(SYMBOLS),
    num_features=FEATURES,
    frames={},
    converted={},
)
STATS: dict[str, Any] = {"cifar10": PICTURES, "faces": FACES, "speech": SPEECH}  # by task


def cifar10(folder: Path, train: int, dev: int) -> Path:
    """Write random pixels."""
    random = np.random.default_rng(0)
    for split, num in (("train", train), ("dev", dev)):
        (folder / split).mkdir(parents=True)
        np.save(folder / split / "images.npy", random.integers(0, 256, (num, SIDE, SIDE, 3), np.uint8))
        _write_labels(folder / split, num, len(CLASSES))
    write_stats(folder, PICTURES)
    return folder


def faces(folder: Path, num: int, side: int, classes: int) -> Path:
    """Write smooth noise at JPEG quality 90, about 20 kB per image of 224x224."""
    random, drawn = np.random.default_rng(0), []
    for _ in range(min(num, DISTINCT)):
        image = cv2.resize(random.normal(128, 60, (side // 8, side // 8, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
        image = (image + random.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
        drawn.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
    (folder / "train").mkdir(parents=True)
    with Ragged(folder / "train" / "images", (), np.uint8) as packed:
        for number in range(num):
            packed.append(drawn[number % len(drawn)])
    _write_labels(folder / "train", num, classes)
    write_stats(folder, replace(FACES, classes=[f"n{number:06d}" for number in range(classes)], side=side))
    return folder


def speech(folder: Path, utterances: int) -> tuple[Path, int]:
    """Write random features of LibriSpeech-like lengths; return also the number of frames."""
    random = np.random.default_rng(0)
    lengths = librispeech_like(random, utterances)
    (folder / "train").mkdir(parents=True)
    write_utterances(folder / "train", lengths, random)
    _write_names(folder / "train", utterances)
    write_stats(folder, SPEECH)
    return folder, int(lengths.sum())


def librispeech_like(random: np.random.Generator, num: int) -> np.ndarray:
    """Return the frames of each utterance: 16.6 s minus a log-normal time, at least 1.5 s; the mean is 12 s."""
    seconds = 16.6 - random.lognormal(1.1, 0.9, num).clip(0.1)
    return np.asarray(100 * np.maximum(seconds, 1.5)).astype(int)


def write_utterances(folder: Path, lengths: np.ndarray, random: np.random.Generator) -> None:
    """Write features and targets, one phoneme per 8 frames."""
    with Ragged(folder / "mfcc", (FEATURES,), np.float32) as mfcc, Ragged(folder / "transcript", (), np.uint8) as transcript:
        for length in lengths.tolist():
            mfcc.append(random.standard_normal((length, FEATURES), np.float32))
            transcript.append(random.integers(1, NUM_CLASSES, length // 8).astype(np.uint8))


def _write_labels(split: Path, num: int, classes: int) -> None:
    np.save(split / "labels.npy", np.arange(num) % classes)
    _write_names(split, num)


def _write_names(split: Path, num: int) -> None:
    with Ragged(split / "names", (), np.uint8) as names:
        for number in range(num):
            names.append(text_row(str(number)))


def write_stats(folder: Path, stats: Stats) -> None:
    stats.write(folder, vars(stats))
