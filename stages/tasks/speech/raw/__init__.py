"""Raw speech -> data/features/speech: per split ragged mfcc (T, F) float32, transcript (L,) uint8, names; stats.json.

Each coefficient has mean 0 and deviation 1 over its utterance. The test split has no transcript, and a split without
utterances no folder. Where the data came as audio, dev also has audio: the wav and flac files as they came, ragged bytes.
"""

import json
import shutil
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import RaggedArray, read_texts, text_row
from stages.data.understood import Understood
from stages.data.unread import check_all_read
from stages.sequences.raw.normalization import normalize
from stages.sequences.storage import SequenceWriter
from stages.tasks.speech import SYMBOLS
from stages.tasks.speech.raw import audio, competition
from stages.tasks.speech.raw.item import Item, Problem
from stages.tasks.speech.settings import Settings


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> dict[str, Any]:
    """Check and normalise every utterance once and write the splits below `out`, one utterance at a time.

    Returns the statistics, also in out/stats.json: counts, frames, what was rejected and why, what had to be changed.
    term: whose characters a submission is written in, 2023, 2022, or audio for none.
    Raises InputError for a bad item (unless settings.on_bad is skip), an unknown layout, no training or no dev utterance.
    """
    term, order = _layout(archives)
    stats: dict[str, Any] = {"task": "speech", "term": term, "symbols": list(SYMBOLS), "rejected": []}
    items = competition.read(archives, order) if term != "audio" else audio.read(archives, on_bad=settings.on_bad, seed=seed)
    converted, seen, width = Counter[str](), set[tuple[str, str]](), None
    writers: dict[str, SequenceWriter] = {}
    with ExitStack() as stack:
        for item in items:
            try:
                frames = _check(item, seen, width)
            except Problem as problem:
                if settings.on_bad == "error":
                    raise InputError(f"{item.where}: {problem}; `on_bad: skip` leaves such items out") from None
                stats["rejected"].append({"item": item.where, "reason": str(problem)})
                continue
            width = frames.shape[1]
            columns = _columns(item)
            if item.split not in writers:
                writers[item.split] = SequenceWriter(stack, out / item.split, width, columns)
            writers[item.split].append(frames, columns)
            converted.update(item.converted)
    for split in ("train", "dev"):
        if split not in writers:
            raise InputError(f"{archives[0].path.parent}: there is no good utterance for the {split} split")
    if "test" in writers:
        writers["test"] = _sort(out / "test", order)
    stats["num"] = {split: writers[split].num if split in writers else 0 for split in ("train", "dev", "test")}
    stats["num_features"] = width
    header = ["id", "label" if term != "2022" else "predictions"]
    submissions = {"submission": header} if "test" in writers else {}
    stats["understood"] = Understood(term, f"{len(SYMBOLS) - 1} phonemes", stats["num"], submissions).stats()
    stats["frames"] = {split: {"total": writer.total, "longest": writer.longest} for split, writer in writers.items()}
    stats["converted"] = dict(sorted(converted.items()))
    sample = competition.sample_submission(archives)
    if sample is not None:
        (out / "sample_submission.csv").write_bytes(sample)
    check_all_read(archives, audio.PASSED_OVER)
    (out / "stats.json").write_text(json.dumps(stats, indent=2) + "\n")
    return stats


def _layout(archives: list[Archive]) -> tuple[str, dict[str, int] | None]:
    """The term, and the place of each test utterance if that is not the order of their names."""
    if competition.holds(archives):
        order = competition.test_order(archives)
        return "2023" if order is None else "2022", order
    if audio.holds(archives):
        return "audio", None
    raise InputError(
        f"{archives[0].path.parent}: found neither HW3P2's <split>/mfcc/*.npy nor wav or flac files in "
        + ", ".join(archive.path.name for archive in archives)
    )


def _check(item: Item, seen: set[tuple[str, str]], width: int | None) -> np.ndarray:
    """The item's frames, normalised. seen: the utterances so far, to which it is added. Raises Problem."""
    if item.problem is not None:
        raise Problem(item.problem)
    if (item.split, item.name) in seen:
        raise Problem("is there a second time")
    seen.add((item.split, item.name))
    assert item.frames is not None
    if width is not None and item.frames.shape[1] != width:
        raise Problem(f"has {item.frames.shape[1]} coefficients, but the utterances before it have {width}")
    return _finish(item.frames)


def _columns(item: Item) -> dict[str, np.ndarray]:
    """What is kept beside the item's frames, bytes all: the same for every item of a split.

    A memory map cannot be empty, so that the test split has no transcripts rather than empty ones.
    """
    audio = None if item.audio is None else np.frombuffer(item.audio, np.uint8)
    columns = {"names": text_row(item.name), "transcript": item.classes, "audio": audio}
    return {name: content for name, content in columns.items() if content is not None}


def features(content: bytes) -> np.ndarray:
    """Of one wav, flac or .npy file what `pack` would write of it: (T, F) float32, normalised. Raises Problem."""
    is_array = content.startswith(np.lib.format.MAGIC_PREFIX)
    return _finish(competition.read_frames(content) if is_array else audio.read_frames(content)[0])


def _finish(frames: np.ndarray) -> np.ndarray:
    """Float32, normalised. Raises Problem where a frame is not finite."""
    with np.errstate(over="ignore"):
        frames = frames.astype(np.float32, copy=False)
    is_finite = np.isfinite(frames)
    if not is_finite.all():
        raise Problem(f"frame {np.flatnonzero(~is_finite.all(1))[0]} is not finite")
    return normalize(frames)


def _sort(folder: Path, order: dict[str, int] | None) -> SequenceWriter:
    """Put the utterances in `order`, or that of their names: archives have one of their own, and are read in it."""
    unsorted = folder.with_name("unsorted")
    folder.rename(unsorted)
    names, width = read_texts(unsorted / "names"), RaggedArray(unsorted / "mfcc").values.shape[1]
    with ExitStack() as stack:
        writer = SequenceWriter(stack, folder, width, ["names"])
        for index in sorted(range(len(names)), key=lambda index: names[index] if order is None else order[names[index]]):
            # Mapped again for each utterance, or the pages of all of them would stay in memory.
            writer.append(RaggedArray(unsorted / "mfcc")[index], {"names": text_row(names[index])})
    shutil.rmtree(unsorted)
    return writer
