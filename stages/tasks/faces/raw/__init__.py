"""Raw faces -> data/features/faces: per split the encoded images, concatenated, with labels and names; stats.json.

Every image is decoded once, as a check and for the statistics. A split without images has no folder. For verification with
pairs, pairs_dev.npy (N, 3) int64 has the rows of both images in the split `verification`, and 1 for the same person or 0;
pairs_test.npy (N, 2) has only the rows.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import Ragged, Rows, text_row
from stages.data.rejected import Rejected
from stages.data.statistics import Understood
from stages.data.tables import read_rows
from stages.data.understood import check_labels
from stages.data.unread import check_all_read
from stages.images.raw.channel_statistics import Moments
from stages.images.raw.image import Problem
from stages.tasks.faces.raw import layouts
from stages.tasks.faces.raw.examining import examine_all, first_side
from stages.tasks.faces.raw.layout import Item, Layout, Pair
from stages.tasks.faces.settings import Settings
from stages.tasks.faces.statistics import Stats, Submission

SPLITS = ("train", "dev", "test", "known", "unknown_dev", "unknown_test", "verification")


def pack(archives: list[Archive], out: Path, settings: Settings, seed: int) -> Stats:
    """Check every image, write the splits below `out`, and return and write their statistics, stats.json.

    Raises InputError for a bad image (unless settings.on_bad is skip), archives and tables that do not fit together, and an
    identity without a good training image.
    """
    found = layouts.find(archives, settings, seed)
    moments, converted, rejected = Moments(), Counter[str](), Rejected(settings.on_bad == "skip")
    for where, reason in found.problems:
        rejected.add(where, reason)
    side = settings.side or first_side(archives, found, rejected)
    writers: dict[str, _Writer] = {}
    with ExitStack() as stack:
        for (split, _, item), content, examined in examine_all(archives, found, side, out):
            where = f"{archives[item.file.archive].path}: {item.file.member}"
            if isinstance(examined, Problem):
                rejected.add(where, str(examined), is_needed=item.is_needed)
                continue
            if split not in writers:
                writers[split] = _Writer(stack, out / split)
            writers[split].append(item, content)
            converted.update(examined.converted)
            if examined.sums is not None:
                moments.add(side * side, examined.sums)
    for writer in writers.values():
        writer.finish()
    _check_enough(archives, found, writers)
    check_all_read(archives, found.ignored)
    labels = {split: Counter(item.label for item in writers[split].items) for split in ("train", "dev")}
    check_labels(archives[0].path.parent, found.classes, labels)
    mean, std = moments.mean_and_std()
    submissions = _submissions(found)
    pairs = _write_pairs(out, found, writers, archives)
    stats = {
        "classes": found.classes,
        "known": found.known,
        "num": {split: len(writers[split].items) if split in writers else 0 for split in SPLITS},
        "side": side,
        "mean": mean,
        "std": std,
        "verification": {"kind": "pairs", **pairs} if pairs else {"kind": "gallery" if found.known else None},
        "submissions": submissions,
        "understood": _understood(found, writers, pairs, submissions),
        "rejected": sorted(rejected.items, key=lambda entry: entry.item),  # independent of the archives' order
        "converted": dict(sorted(converted.items())),
    }
    for name, content in found.samples.items():
        (out / name).write_bytes(content)
    return Stats.write(out, stats)


def _understood(
    found: Layout, writers: Mapping[str, "_Writer"], pairs: Mapping[str, int], submissions: Mapping[str, Submission]
) -> Understood:
    verification = f"{len(found.known):,} known identities" if found.known else ""
    if pairs:
        verification = ", ".join(f"{num:,} {split} pairs" for split, num in pairs.items() if num)
    elif (unknown := writers.get("unknown_dev")) is not None and any(item.label < 0 for item in unknown.items):
        verification += ", and unknown faces"
    return Understood(
        found.name,
        f"{len(found.classes):,} identities, {found.classes[0]} to {found.classes[-1]}",
        {split: len(writers[split].items) for split in SPLITS if split in writers},
        {name: submission.header for name, submission in submissions.items()},
        verification,
    )


def _submissions(found: Layout) -> dict[str, Submission]:
    """Describe each submission file: its header, from the sample if there is one, and its kinds of ids and labels."""
    submissions = {}
    for kind, submission in found.submissions.items():
        name = f"{kind}_sample_submission.csv"
        header = next(read_rows(found.samples[name], name)).cells if name in found.samples else submission.header
        submissions[kind] = replace(submission, header=header)
    return submissions


def _write_pairs(out: Path, found: Layout, writers: Mapping[str, "_Writer"], archives: Sequence[Archive]) -> dict[str, int]:
    """Write pairs_dev.npy and pairs_test.npy, without pairs of rejected images. Return the number of pairs per split."""
    if not found.pairs:
        return {}
    items = writers["verification"].items if "verification" in writers else []
    rows = {item.name: row for row, item in enumerate(items)}
    counts = {}
    for split, pairs in found.pairs.items():
        good = [pair for pair in pairs if pair.name in rows and pair.other in rows]
        if split == "dev" and len({pair.same for pair in good}) < 2:
            raise InputError(
                f"{archives[0].path.parent}: too few good images are left for pairs of one person and pairs of two; "
                "verification needs both"
            )
        if good:
            with Rows(out / f"pairs_{split}.npy", (3 if split == "dev" else 2,), np.int64) as array:
                array.append(np.array([_row(pair, rows) for pair in good], np.int64))
        counts[split] = len(good)
    return counts


def _row(pair: Pair, rows: Mapping[str, int]) -> list[int]:
    same = [] if pair.same is None else [int(pair.same)]
    return [rows[pair.name], rows[pair.other], *same]


def _check_enough(archives: list[Archive], found: Layout, written: Mapping[str, "_Writer"]) -> None:
    """Raises InputError if an identity has no training image, or a required split no image."""
    trained = {item.label for item in written["train"].items} if "train" in written else set()
    missing = [identity for label, identity in enumerate(found.classes) if label not in trained]
    if missing:
        others = f" and {len(missing) - 1:,} more" if len(missing) > 1 else ""
        raise InputError(f"{archives[0].path.parent}: there is no good training image of {missing[0]}{others}")
    for split in ("dev", "known", "unknown_dev") if found.known else ("dev",):
        if split not in written:
            raise InputError(f"{archives[0].path.parent}: there is no good image for the {split} split")


class _Writer:
    """Writes the arrays of one split: the images at once, their labels and names at the end."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        self.items: list[Item] = []
        self._folder = folder
        self._contents = stack.enter_context(Ragged(folder / "images", (), np.uint8))

    def append(self, item: Item, content: bytes) -> None:
        self.items.append(item)
        self._contents.append(np.frombuffer(content, np.uint8))

    def finish(self) -> None:
        """Write the labels and the names."""
        with (
            Rows(self._folder / "labels.npy", (), np.int64) as labels,
            Ragged(self._folder / "names", (), np.uint8) as names,
        ):
            labels.append(np.array([item.label for item in self.items]))
            for item in self.items:
                names.append(text_row(item.name))
