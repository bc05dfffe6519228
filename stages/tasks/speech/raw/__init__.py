"""Raw speech -> data/features/speech: ragged mfcc (T, F) float32, transcript (L,) uint8 and names per split; stats.json.

Each coefficient has mean 0 and deviation 1 in each utterance. The test split has no transcript, and a split without
utterances has no folder. If the data are recordings, dev also has audio, the original wav and flac files as ragged bytes.
"""

import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from stages.core.errors import InputError
from stages.core.progress import track
from stages.data.archive import Archive
from stages.data.packed import RaggedArray, read_texts, text_row
from stages.data.rejected import Rejected
from stages.data.statistics import Understood
from stages.data.tables import Row, read_rows
from stages.data.unread import check_all_read
from stages.sequences.raw.normalization import normalize
from stages.sequences.storage import SequenceWriter
from stages.tasks.speech import SYMBOLS
from stages.tasks.speech.raw import audio, layouts, npy, splits
from stages.tasks.speech.raw.item import Item, Problem
from stages.tasks.speech.settings import Settings
from stages.tasks.speech.statistics import Stats, Submission

MIN_UTTERANCES = 20  # fewer, as in a quick try, may all have the same transcript


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> Stats:
    """Check and normalise every utterance, write the splits below `out`, and return and write their statistics, stats.json.

    Raises InputError for a bad item (unless settings.on_bad is skip), an unknown layout, and an empty train or dev split.
    """
    layout = layouts.find(archives)
    rejected = Rejected(may_skip=settings.on_bad == "skip")
    source = layout.module.read(archives, may_skip=rejected.may_skip, fold=settings.fold, seed=seed)
    converted, seen, width = Counter[str](), set[tuple[str, str]](), None
    writers: dict[str, SequenceWriter] = {}
    distinct: dict[str, set[bytes]] = {"train": set(), "dev": set()}  # up to two different transcripts per split
    lost: set[str] = set()
    with ExitStack() as stack:
        for item in track(source.items, "reading speech"):
            try:
                frames = _check(item, seen, width)
            except Problem as problem:
                rejected.add(item.where, str(problem))
                if item.split == "test":
                    lost.add(item.name)
                continue
            width = frames.shape[1]
            columns = _columns(item)
            if item.split not in writers:
                writers[item.split] = SequenceWriter(stack, out / item.split, width, columns)
            writers[item.split].append(frames, columns)
            converted.update(item.converted)
            if item.classes is not None and len(distinct[item.split]) < 2:
                distinct[item.split].add(item.classes.tobytes())
    _check_splits(archives, writers, distinct, layout.module.IGNORED)
    assert width is not None
    left_out: list[int] = []
    if "test" in writers:
        writers["test"], left_out = _sort(out / "test", source.order, lost)
    form = source.form(width)
    num: dict[str, int] = {split: writers[split].num if split in writers else 0 for split in splits.SPLITS}
    header = _header(source.sample) or list(form.header)
    understood = Understood(
        f"{form.layout}, {width} features a frame" + (f"; {settings.fold} held out as dev" if settings.fold else ""),
        f"{len(SYMBOLS) - 1} phonemes",
        num,
        {"submission": header} if "test" in writers else {},
    )
    check_all_read(archives, layout.module.IGNORED)
    stats = {
        "submission": Submission(header, form.characters, left_out),
        "symbols": list(SYMBOLS),
        "rejected": rejected.items,
        "num": num,
        "num_features": width,
        "understood": understood,
        "frames": {split: {"total": writer.total, "longest": writer.longest} for split, writer in writers.items()},
        "converted": dict(sorted(converted.items())),
    }
    if source.sample is not None:
        (out / "sample_submission.csv").write_bytes(source.sample)
    return Stats.write(out, stats)


def _check_splits(
    archives: list[Archive],
    writers: Mapping[str, SequenceWriter],
    distinct: Mapping[str, set[bytes]],
    ignored: re.Pattern[str],
) -> None:
    """Raises InputError for a split without utterances, and for one whose transcripts are all the same."""
    for split in ("train", "dev"):
        if split not in writers:
            raise InputError(f"{archives[0].path.parent}: there is no good utterance for the {split} split")
        if len(distinct[split]) == 1 and writers[split].num >= MIN_UTTERANCES:
            same = f"all {writers[split].num:,} transcripts of the {split} split are the same"
            raise InputError(f"{archives[0].path.parent}: {same}, so there is nothing to learn; check the transcripts")
    for archive in archives if "test" not in writers else ():
        for name in archive.names:
            if splits.innermost(name) == "test" and not ignored.fullmatch(name):
                raise InputError(
                    f"{archive.path}: there is no good utterance for the test split, but {name} is in its folder; "
                    "remove the folder if there is nothing to submit"
                )


def _header(sample: bytes | None) -> list[str] | None:
    """Return the sample submission's header if it has two columns; `submit` refuses any other."""
    try:
        cells = next(read_rows(sample or b"", "sample"), Row(1, [])).cells
    except InputError:
        return None
    return cells if len(cells) == 2 else None


def _check(item: Item, seen: set[tuple[str, str]], width: int | None) -> np.ndarray:
    """Return the item's normalised frames. seen: the utterances so far, to which it is added. Raises Problem."""
    if item.problem is not None:
        raise Problem(item.problem)
    if (item.split, item.name) in seen:
        raise Problem("is a duplicate")
    seen.add((item.split, item.name))
    assert item.frames is not None
    if width is not None and item.frames.shape[1] != width:
        raise Problem(f"has {item.frames.shape[1]} coefficients, but the utterances before it have {width}")
    return _finish(item.frames)


def _columns(item: Item) -> dict[str, np.ndarray]:
    """Return what is stored beside the item's frames, as bytes; the keys are the same for all items of a split.

    The test split has no transcripts instead of empty ones, as a memory map cannot be empty.
    """
    audio = None if item.audio is None else np.frombuffer(item.audio, np.uint8)
    columns = {"names": text_row(item.name), "transcript": item.classes, "audio": audio}
    return {name: content for name, content in columns.items() if content is not None}


def is_array(content: bytes) -> bool:
    """Whether a file is a .npy file."""
    return content.startswith(np.lib.format.MAGIC_PREFIX)


def features(content: bytes) -> np.ndarray:
    """Return the features of a wav, flac or .npy file, (T, F) float32, normalised as by `pack`. Raises Problem."""
    return _finish(npy.read_frames(content) if is_array(content) else audio.read_frames(content)[0])


def _finish(frames: np.ndarray) -> np.ndarray:
    """Convert to float32 and normalise. Raises Problem for a frame that is not finite."""
    with np.errstate(over="ignore"):
        frames = frames.astype(np.float32, copy=False)
    is_finite = np.isfinite(frames)
    if not is_finite.all():
        raise Problem(f"frame {np.flatnonzero(~is_finite.all(1))[0]} is not finite")
    return normalize(frames)


def _sort(folder: Path, order: Mapping[str, int] | None, lost: set[str]) -> tuple[SequenceWriter, list[int]]:
    """Sort the test utterances, which are in the archives' order, by `order` or by name.

    lost: the names of those that were left out. Returns also their rows in the order of all.
    """

    def sort_key(name: str) -> str | int:
        return name if order is None else order[name]

    unsorted = folder.with_name("unsorted")
    folder.rename(unsorted)
    names, width = read_texts(unsorted / "names"), RaggedArray(unsorted / "mfcc").values.shape[1]
    with ExitStack() as stack:
        writer = SequenceWriter(stack, folder, width, ["names"])
        for index in sorted(range(len(names)), key=lambda index: sort_key(names[index])):
            # Map the file again for each utterance, or all its pages would stay in memory.
            writer.append(RaggedArray(unsorted / "mfcc")[index], {"names": text_row(names[index])})
    shutil.rmtree(unsorted)
    gone = {name for name in lost.difference(names) if order is None or name in order}
    every = sorted({*names, *gone}, key=sort_key)
    return writer, [row for row, name in enumerate(every) if name in gone]
