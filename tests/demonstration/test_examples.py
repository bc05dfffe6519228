"""The files to try are the dev split's own: each class once, faces of one person and of two, recordings as they came."""

from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from stages.core import paths
from stages.data.packed import Ragged, text_row
from stages.demonstration import examples
from stages.tasks.speech.raw import audio
from tests.conftest import Project

LABELS = np.array([3, 0, 3, 1, 0, 1])


@pytest.fixture
def images(project: Project) -> np.ndarray:
    """(N, 4, 4, 3) uint8: the dev split of faces."""
    dev = paths.features("faces") / "dev"
    dev.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (len(LABELS), 4, 4, 3), np.uint8)
    np.save(dev / "images.npy", images)
    np.save(dev / "labels.npy", LABELS)
    return images


def place(file: Path, images: np.ndarray) -> int:
    """Which of the images a file holds, pixel for pixel."""
    content = cv2.cvtColor(np.asarray(cv2.imread(str(file))), cv2.COLOR_BGR2RGB)
    return int(np.flatnonzero((images == content).all((1, 2, 3)))[0])


def test_there_is_a_picture_of_each_class(images: np.ndarray, tmp_path: Path) -> None:
    found = [place(file, images) for file in examples.pictures("faces", tmp_path)]
    assert sorted(LABELS[found]) == [0, 1, 3]


def test_pairs_are_of_one_person_and_of_two_in_turn(images: np.ndarray, tmp_path: Path) -> None:
    pairs = [(place(one, images), place(other, images)) for one, other in examples.pairs("faces", tmp_path)]
    assert [LABELS[one] == LABELS[other] for one, other in pairs] == [True, False, True, False]
    assert all(one != other for one, other in pairs)


def test_without_the_data_there_are_no_pictures(project: Project, tmp_path: Path) -> None:
    assert not examples.pictures("faces", tmp_path) and not examples.pairs("faces", tmp_path)


def test_recordings_are_the_data_s_own(project: Project, tmp_path: Path) -> None:
    file = tmp_path / "a.flac"
    soundfile.write(file, np.sin(np.arange(4000) / 9), 16_000)
    with ExitStack() as stack:
        for name, row in (("audio", np.frombuffer(file.read_bytes(), np.uint8)), ("names", text_row("1272-1"))):
            dev = paths.features("speech") / "dev"
            stack.enter_context(Ragged(dev / name, (), np.uint8)).append(row)
    [found] = examples.recordings("speech", tmp_path)
    assert found.name == "01-1272-1.flac" and found.read_bytes() == file.read_bytes()


def test_where_the_data_are_no_audio_a_sentence_is_spoken(project: Project, tmp_path: Path) -> None:
    for file in examples.recordings("speech", tmp_path):
        wave, changes = audio.read_wave(file.read_bytes())
        assert file.suffix == ".wav" and not changes and 16_000 < len(wave) < 5 * 16_000 and wave.std() > 0.01
