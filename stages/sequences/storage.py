"""The files of a split of sequences: written by `normalize`, read by training."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from stages.data.packed import Ragged, RaggedArray, read_texts


class SequenceWriter:
    """Writers of a split's arrays, closed by `stack`. columns: the names of the arrays beside the frames.

    num, total, longest: the sequences so far, and their frames in total and at most.
    """

    def __init__(self, stack: ExitStack, folder: Path, width: int, columns: Iterable[str]) -> None:
        self.num, self.total, self.longest = 0, 0, 0
        self._mfcc = stack.enter_context(Ragged(folder / "mfcc", (width,), np.float32))
        self._columns = {name: stack.enter_context(Ragged(folder / name, (), np.uint8)) for name in columns}

    def append(self, frames: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        assert columns.keys() == self._columns.keys(), columns.keys()
        self.num, self.total, self.longest = self.num + 1, self.total + len(frames), max(self.longest, len(frames))
        self._mfcc.append(frames)
        for name, content in columns.items():
            self._columns[name].append(content)


class Joined(Sequence[np.ndarray]):
    """The items of several splits, indexed like one array. offsets: as in RaggedArray."""

    def __init__(self, parts: Sequence[RaggedArray]) -> None:
        self._parts, self._starts = parts, np.cumsum([0, *map(len, parts)])
        lengths = np.concatenate([np.diff(part.offsets) for part in parts])
        self.offsets = np.concatenate(([0], np.cumsum(lengths)))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: Any) -> Any:
        index = range(len(self))[index]
        part = int(np.searchsorted(self._starts, index, "right")) - 1
        return self._parts[part][index - int(self._starts[part])]


def read_frames(folder: Path) -> RaggedArray:
    """Memory-map the frames of a split, (T, F) float32 each."""
    return RaggedArray(folder / "mfcc")


def read_transcripts(folder: Path) -> RaggedArray | None:
    """Memory-map the transcripts of a split, (S,) uint8 each; None if it has none."""
    return RaggedArray(folder / "transcript") if (folder / "transcript.npy").is_file() else None


def read_names(folder: Path) -> list[str]:
    """Read the names of a split's sequences, in order."""
    return read_texts(folder / "names")
