"""HW2P2 from fall 2024 to spring 2026: pairs of faces, of one person or of two.

    cls_data/{train,dev,test}/   dev may be val; in fall 2024 <identity>/*, without a test; since then images/**, and
                                 labels.txt with a line `path label` for each image, relative to images/
    ver_data/*                   the images of val_pairs.txt, lines `a b 0|1`, and of test_pairs.txt, lines `a b`
                                 (or .csv with a header)

The submission has each test pair's cosine similarity. There is none for the classification.
"""

from collections.abc import Mapping

from stages.core.errors import InputError
from stages.images.raw.folders import class_of
from stages.images.raw.listing import Listing, Splits
from stages.tasks.faces.raw import pair_lists, tables
from stages.tasks.faces.raw.identities import Identified, identify
from stages.tasks.faces.raw.layout import Item, Layout, Missing, Submission
from stages.tasks.faces.raw.pair_lists import Lists
from stages.tasks.faces.settings import Settings

SPLITS = {"train": "train", "dev": "dev", "val": "dev", "valid": "dev", "test": "test"}  # folder -> split
LABELS = "labels.txt"
LISTS = Lists(r"val_pairs\.(txt|csv)", r"test_pairs\.(txt|csv)", "val_pairs.txt", "ver_data/")


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Read the layout. Raises Missing, and InputError, naming a file or folder, if something does not fit."""
    splits = _sort(listing)
    for split, what in (("train", "train/"), ("dev", "dev/ (or val/)")):
        if split not in splits:
            raise Missing(f"cls_data/{what} is missing")
    problems: list[tuple[str, str]] = []
    labels = {split: _labels(listing, splits, split, problems) for split in ("train", "dev", "test")}
    for split in ("train", "dev"):
        other = labels["dev" if split == "train" else "train"]
        if labels[split] is None and (other is not None or not all("/" in name for name in splits[split])):
            raise Missing(f"cls_data/{split}/{LABELS} is missing")
    if labels["train"] is not None and labels["dev"] is not None:
        people = _by_number(listing, splits, labels["train"], labels["dev"])
    else:
        people = identify(listing, splits["train"], splits["dev"])
    problems += people.problems
    faces = splits["verification"]
    dev, test = pair_lists.read_both(listing, LISTS, faces, problems)
    needed = pair_lists.named_in(test)
    return Layout(
        people.classes,
        {
            "train": people.train,
            "dev": people.dev,
            "test": [Item(file, name) for name, file in splits["test"].items()],
            "verification": [Item(file, name, is_needed=name in needed) for name, file in faces.items()],
        },
        {"verification": Submission(["ID", "Label"], "row", "score")} if test else {},
        problems,
        pairs={"dev": dev, "test": test} if dev else {},
        samples=tables.sample_submissions(listing, verification=("test pairs", tables.row_ids(len(test)))),
    )


def _sort(listing: Listing) -> Splits:
    """Return the images by split. In a split with labels.txt, names begin below images/."""
    labelled = {file.parts[:-1] for file in listing.tables(LABELS)}
    splits = Splits(listing)
    for file in listing.images:
        parts, folders = file.parts, file.folders
        if "ver_data" in folders:
            splits.add("verification", file, folders.index("ver_data") + 1)
            continue
        begin = folders.index("cls_data") + 1 if "cls_data" in folders else 0
        index = next((index for index in range(begin, len(folders)) if folders[index] in SPLITS), None)
        if index is None:
            raise InputError(f"{listing.where(file)}: is neither in cls_data/{{train,dev,test}}/ nor in ver_data/")
        depth = index + 1
        # A test may have images/ without labels.txt; no identity's folder has this name.
        if parts[depth] == "images" and len(parts) > depth + 1:
            depth += 1
        elif parts[:depth] in labelled:
            raise InputError(f"{listing.where(file)}: is beside {LABELS}; move it into images/, where its paths begin")
        splits.add(SPLITS[folders[index]], file, depth)
    return splits


def _labels(listing: Listing, splits: Splits, split: str, problems: list[tuple[str, str]]) -> dict[str, int] | None:
    """Read the labels in the split's labels.txt by image name; None if there is no such file."""
    tables = [file for file in listing.tables(LABELS) if file.folders and SPLITS.get(file.folders[-1]) == split]
    if not tables:
        return None
    if len(tables) > 1:
        raise InputError(f"{listing.where(tables[1])}: is a duplicate; the first is {listing.where(tables[0])}")
    where, files = listing.where(tables[0]), splits[split]
    labels = parse_labels(listing.read(tables[0]), where)
    if files and labels.keys().isdisjoint(files):
        raise InputError(f"{where}: names no image in {split}/images/ (its first is {next(iter(labels))})")
    problems += [(f"{where}: {name}", "is listed but missing") for name in labels.keys() - files.keys()]
    problems += [(listing.where(files[name]), f"has no line in {LABELS}") for name in files.keys() - labels.keys()]
    return labels


def parse_labels(content: bytes, where: str) -> dict[str, int]:
    """Parse lines `path label` into labels by path. Raises InputError, naming the line."""
    labels: dict[str, int] = {}
    for number, line in pair_lists.text_lines(content, where):
        name, *label = line.rsplit(maxsplit=1)
        if not (label and pair_lists.is_number(label[0])):
            raise InputError(f"{where}: line {number}: must be a path and a whole number, but is {line[:100]!r}")
        if name in labels:
            raise InputError(f"{where}: line {number}: {name} is a duplicate")
        labels[name] = int(label[0])
    if not labels:
        raise InputError(f"{where}: lists no image")
    return labels


def _by_number(listing: Listing, splits: Splits, train: Mapping[str, int], dev: Mapping[str, int]) -> Identified:
    """Label the images by labels.txt. Raises InputError if a folder has two labels, or no label is in both splits."""
    numbers = sorted({train[name] for name in splits["train"] if name in train})
    indices = {number: index for index, number in enumerate(numbers)}
    problems = []
    of_folder: dict[str, int] = {}
    items: dict[str, list[Item]] = {"train": [], "dev": []}
    for split, labels in (("train", train), ("dev", dev)):
        for name, file in splits[split].items():
            if name not in labels:
                continue
            number, folder = labels[name], class_of(name)
            if "/" in name and of_folder.setdefault(folder, number) != number:
                raise InputError(f"{listing.where(file)}: has the label {number}, but another image of its folder does not")
            if number in indices:
                items[split].append(Item(file, name, indices[number]))
            else:
                problems.append((listing.where(file), f"train has no images of the label {number}"))
    if not items["dev"]:
        raise InputError(f"{listing.source}: train and dev have no label in common; dev must show the people of train")
    return Identified([str(number) for number in numbers], items["train"], items["dev"], problems)
