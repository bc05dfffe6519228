"""Example files for the page, from the dev split, if there is `normalize`'s output."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import soundfile

from stages.core import paths
from stages.images.training import classifier
from stages.sequences.storage import read_names
from stages.tasks.speech import sample
from stages.tasks.speech.evaluation import audio

NUM_CLASSES = 10
NUM_RECORDINGS = 3
SENTENCES = {"m6": "she saw the old dog", "linda": "my mother found three keys"}  # by voices of the sample's test split


def pictures(task: str, folder: Path) -> list[Path]:
    """Write an image of each class as .png files into `folder`."""
    return _write(task, folder, np.unique(_labels(task), return_index=True)[1][:NUM_CLASSES].tolist())


def pairs(task: str, folder: Path) -> list[tuple[Path, Path]]:
    """Write pairs of images, alternately of one person and of two."""
    labels = _labels(task)
    people = [np.flatnonzero(labels == label)[:2].tolist() for label in np.unique(labels)[:3]]
    indices = [index for one, other in pairwise(people) if len(one) == 2 for index in (*one, one[0], other[0])]
    files = iter(_write(task, folder, indices))
    return list(zip(files, files, strict=True))


def recordings(task: str, folder: Path) -> list[Path]:
    """Write recordings into `folder`: of dev, or sentences spoken by espeak-ng if the data are not audio."""
    dev = paths.features(task) / "dev"
    if not (dev / "audio.npy").is_file():
        return _speak(folder)
    names = read_names(dev)
    audio.write(folder / task, dev / "audio", names, names[:NUM_RECORDINGS])
    return sorted((folder / task).iterdir())


def _labels(task: str) -> np.ndarray:
    """Read the labels (N,) of the dev split; none if there is no such split."""
    file = paths.features(task) / "dev" / "labels.npy"
    return np.load(file) if file.is_file() else np.empty(0, np.int64)


def _write(task: str, folder: Path, indices: Sequence[int]) -> list[Path]:
    files = [folder / f"{task}-{index}.png" for index in indices]
    if files:
        images = classifier.read_images(paths.features(task), "dev")
        for file, index in zip(files, indices, strict=True):
            cv2.imwrite(str(file), cv2.cvtColor(images[index : index + 1][0], cv2.COLOR_RGB2BGR))
    return files


def _speak(folder: Path) -> list[Path]:
    random, files = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as copy:
        espeak = sample.Espeak(Path(copy))
        for voice, text in SENTENCES.items():
            files.append(folder / f"{text.replace(' ', '-')}.wav")
            soundfile.write(files[-1], sample.record(espeak, voice, text.split(), random), sample.RATE)
    return files
