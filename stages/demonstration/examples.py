"""Files to try on the page: of the dev split, which no network was trained on, where `normalize`'s output is there."""

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
SPOKEN = {"m6": "she saw the old dog", "linda": "my mother found three keys"}  # by a voice of the sample's test split


def pictures(task: str, folder: Path) -> list[Path]:
    """An image of each class, as .png files in `folder`."""
    return _write(task, folder, np.unique(_labels(task), return_index=True)[1][:NUM_CLASSES].tolist())


def pairs(task: str, folder: Path) -> list[tuple[Path, Path]]:
    """Pairs of images of one person and of two, in turn."""
    labels = _labels(task)
    people = [np.flatnonzero(labels == label)[:2].tolist() for label in np.unique(labels)[:3]]
    turns = [[*one[:2], one[0], other[0]] for one, other in pairwise(people) if len(one) == 2]
    files = iter(_write(task, folder, [place for turn in turns for place in turn]))
    return list(zip(files, files, strict=True))


def recordings(task: str, folder: Path) -> list[Path]:
    """Utterances as files in `folder`. Where the data are no audio, as the sample, sentences are spoken by espeak-ng."""
    dev = paths.features(task) / "dev"
    if not (dev / "audio.npy").is_file():
        return _speak(folder)
    names = read_names(dev)
    audio.write(folder / task, dev / "audio", names, names[:NUM_RECORDINGS])
    return sorted((folder / task).iterdir())


def _labels(task: str) -> np.ndarray:
    """(N,) of the dev split; none where it is not there."""
    file = paths.features(task) / "dev" / "labels.npy"
    return np.load(file) if file.is_file() else np.empty(0, np.int64)


def _write(task: str, folder: Path, places: Sequence[int]) -> list[Path]:
    files = [folder / f"{task}-{place}.png" for place in places]
    if files:
        images = classifier.read_images(paths.features(task), "dev")
        for file, place in zip(files, places, strict=True):
            cv2.imwrite(str(file), cv2.cvtColor(images[place : place + 1][0], cv2.COLOR_RGB2BGR))
    return files


def _speak(folder: Path) -> list[Path]:
    random, files = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as copy:
        espeak = sample.Espeak(Path(copy))
        for voice, text in SPOKEN.items():
            files.append(folder / f"{text.replace(' ', '-')}.wav")
            soundfile.write(files[-1], sample.record(espeak, voice, text.split(), random), sample.RATE)
    return files
