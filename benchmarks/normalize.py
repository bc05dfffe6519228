"""The stage `normalize` against the libraries' bare calls: the share of their speed that is left.

    python -m benchmarks.normalize

Faces: 4,000 JPEGs of 224 x 224 in a zip, smooth noise at quality 90, 20 kB each, against cv2.imdecode in memory.
Speech: an hour of harmonics and noise in a zip, as wav and flac, against torchaudio's MFCC of samples in memory, and for
flac also soundfile's decoding. The stage also reads and checks the archive, normalises, and writes, with enough items that
opening a dozen files takes less than a tenth of the time. The images' bytes and the MFCCs are compared. One thread.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import soundfile
import torch
import torchaudio.transforms

from benchmarks.compare import Result, compare
from stages.data.archive import Archive, pack_folder
from stages.data.packed import RaggedArray
from stages.sequences.raw import normalization
from stages.tasks import load_params
from stages.tasks.faces import raw as faces
from stages.tasks.speech import raw as speech

IMAGES, SIDE = 4000, 224
UTTERANCES, SECONDS, RATE = 300, 12, 16_000
MEL = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}


def make_jpegs(num: int) -> list[bytes]:
    """Return `num` JPEGs, a hundred different ones, each in its own memory."""
    random, found = np.random.default_rng(0), []
    for _ in range(100):
        image = cv2.resize(random.normal(128, 60, (28, 28, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        image = (image + random.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
        found.append(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return [bytes(bytearray(found[index % 100])) for index in range(num)]


def write_faces(folder: Path, num: int) -> list[bytes]:
    """Write an archive of ten identities, with a tenth of the images in dev."""
    images = make_jpegs(num)
    for index, content in enumerate(images):
        path = folder / f"files/{'dev' if index % 10 == 9 else 'train'}/n{index // 10 % 10:06d}/{index:06d}_01.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    pack_folder(folder / "files", folder / "faces.zip")
    return images


def make_waves(num: int) -> list[np.ndarray]:
    """Return `num` utterances, thirty different ones, each in its own memory, so that they do not fit into the cache."""
    random, time = np.random.default_rng(0), np.arange(SECONDS * RATE) / RATE
    waves = []
    for _ in range(30):
        pitch = random.uniform(80, 250) * (1 + 0.1 * np.sin(2 * np.pi * random.uniform(1, 4) * time))
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        voice = sum(np.sin(order * phase) / order for order in range(1, 12))
        loudness = 0.1 * np.sin(np.pi * random.uniform(2, 5) * time) ** 2
        waves.append((voice * loudness + random.normal(0, 0.002, len(time))).astype(np.float32))
    return [waves[index % 30].copy() for index in range(num)]


def write_speech(folder: Path, kind: str, waves: list[np.ndarray]) -> list[bytes]:
    """Write an archive of utterances of the same words, with a tenth of them in dev."""
    contents = []
    for index, wave in enumerate(waves):
        path = folder / kind / ("dev" if index % 10 == 9 else "train") / f"{index:06d}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, RATE)
        contents.append(path.read_bytes())
        with (path.parent / "words.trans.txt").open("a") as file:
            file.write(f"{path.stem} HELLO WORLD\n")
    pack_folder(folder / kind, folder / f"{kind}.zip")
    return contents


def normalize(pack: Callable[..., Any], archive: Path, settings: Any, units: float, _: int) -> float:
    with tempfile.TemporaryDirectory(dir=archive.parent) as out:
        pack([Archive(archive)], Path(out), settings, 0)
    return units


def measure_faces(folder: Path) -> list[Result]:
    contents, settings = write_faces(folder, IMAGES), replace(load_params().task("faces"), source="here")
    faces.pack([Archive(folder / "faces.zip")], folder / "out", settings, 0)
    packed = sorted(bytes(item) for split in ("train", "dev") for item in RaggedArray(folder / "out" / split / "images"))
    assert packed == sorted(contents)

    def opencv(_: int) -> int:
        for content in contents:
            assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB) is not None
        return len(contents)

    ours = partial(normalize, faces.pack, folder / "faces.zip", settings, IMAGES)
    return [compare("normalize, JPEG", "images", ours, opencv, "cv2.imdecode alone")]


def measure_speech(folder: Path) -> list[Result]:
    waves, settings = make_waves(UTTERANCES), replace(load_params().task("speech"), source="here")
    transform, hours = torchaudio.transforms.MFCC(RATE, 27, melkwargs=MEL), UTTERANCES * SECONDS / 3600
    files = {kind: write_speech(folder, kind, waves) for kind in ("wav", "flac")}

    def mfcc(wave: np.ndarray) -> np.ndarray:
        frames: np.ndarray = transform(torch.from_numpy(wave)).T.numpy()
        return frames

    def mfcc_alone(_: int) -> float:
        for wave in waves:
            mfcc(wave)
        return hours

    def decode_and_mfcc(_: int) -> float:
        for content in files["flac"]:
            mfcc(soundfile.read(io.BytesIO(content), dtype="float32")[0])
        return hours

    floors = {
        "wav": (mfcc_alone, "torchaudio's MFCC alone"),
        "flac": (decode_and_mfcc, "soundfile and torchaudio's MFCC"),
    }
    results = []
    for kind, (floor, against) in floors.items():
        archive = folder / f"{kind}.zip"
        (folder / "of" / kind).mkdir(parents=True)
        speech.pack([Archive(archive)], folder / "of" / kind, settings, 0)
        expected = normalization.normalize(mfcc(soundfile.read(io.BytesIO(files[kind][0]), dtype="float32")[0]))
        np.testing.assert_allclose(RaggedArray(folder / "of" / kind / "train/mfcc")[0], expected, atol=1e-3)
        ours = partial(normalize, speech.pack, archive, settings, hours)
        results.append(compare(f"normalize, MFCC of {kind}", "hours", ours, floor, against))
    return results


def measure() -> list[Result]:
    results = []
    for measure_task in (measure_faces, measure_speech):
        with tempfile.TemporaryDirectory() as name:
            (Path(name) / "out").mkdir()
            results += measure_task(Path(name))
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    measure()
