"""What the tests of raw speech share: packing archives, and reading what was packed."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import RaggedArray, read_texts
from stages.tasks.speech import SYMBOLS, raw
from stages.tasks.speech.settings import Sample
from stages.tasks.speech.statistics import Stats
from tests.conftest import task_settings

WriteZip = Callable[[str, dict[str, bytes]], Path]


def pack(
    archives: Path | list[Path],
    out: Path,
    *,
    on_bad: Literal["error", "skip"] = "error",
    seed: int = 0,
    fold: Fold | None = None,
) -> Stats:
    paths = [archives] if isinstance(archives, Path) else archives
    block = task_settings("speech", source="anywhere", on_bad=on_bad, fold=fold, sample=Sample(1, 1, 1))
    return raw.pack([Archive(path) for path in paths], out, block, seed)


def problem(archives: Path | list[Path], out: Path, fold: Fold | None = None) -> str:
    with pytest.raises(InputError) as caught:
        pack(archives, out, fold=fold)
    return str(caught.value)


def read(out: Path, split: str) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Frames and symbols by name, in the order of the files."""
    folder = out / split
    names, frames = read_texts(folder / "names"), RaggedArray(folder / "mfcc")
    if split == "test":
        return {name: (frames[index], []) for index, name in enumerate(names)}
    classes = RaggedArray(folder / "transcript")
    return {name: (frames[index], [SYMBOLS[k] for k in classes[index]]) for index, name in enumerate(names)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


def naive_normalize(frames: np.ndarray) -> np.ndarray:
    """Coefficient by coefficient, by the definition."""
    result = np.zeros(frames.shape)
    for f in range(frames.shape[1]):
        mean = sum(frames[:, f].tolist()) / len(frames)
        deviation = (sum((x - mean) ** 2 for x in frames[:, f].tolist()) / len(frames)) ** 0.5
        result[:, f] = [(x - mean) / (deviation + 1e-6) for x in frames[:, f].tolist()]
    return result


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, kind: str = "FLAC", seed: int = 0) -> bytes:
    """A recording as libsndfile writes it."""
    random = np.random.default_rng(seed)
    times = np.arange(int(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 500 * times) + random.normal(0, 0.01, len(times))
    content = io.BytesIO()
    soundfile.write(content, np.stack([wave] * channels, 1), rate, format=kind, subtype="PCM_16")
    return content.getvalue()
