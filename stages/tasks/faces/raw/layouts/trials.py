"""HW2P2 of fall 2020, spring 2021 and fall 2021: numbered identities, and pairs to verify.

    train_data/<number>/*, val_data/<number>/*, test_data/**   possibly below classification_data/
    classification_test.txt                                    the test images' names, in the order of the submission
    verification_data/*                                        the images of verification_pairs_val.txt, lines
                                                               `verification_data/a.jpg verification_data/b.jpg 0|1`,
                                                               and of verification_pairs_test.txt, without 0|1

A label of the classification's submission is the folder's name; an id of the verification's is the test line.
"""

from stages.core.errors import InputError
from stages.images.raw.listing import File, Listing, Splits
from stages.tasks.faces.raw import pair_lists, tables
from stages.tasks.faces.raw.identities import identify
from stages.tasks.faces.raw.layout import Item, Layout, Missing, Submission
from stages.tasks.faces.raw.pair_lists import Lists
from stages.tasks.faces.settings import Settings

SPLITS = {"train_data": "train", "val_data": "dev", "test_data": "test", "verification_data": "verification"}
ORDER = "classification_test.txt"
LISTS = Lists(
    r"verification_pairs_val\.txt", r"verification_pairs_test\.txt", "verification_pairs_val.txt", "verification_data/"
)


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Read the layout. Raises Missing, and InputError, naming a file or folder, if something does not fit."""
    splits, problems = _sort(listing)
    for split in ("train", "val"):
        if SPLITS[f"{split}_data"] not in splits:
            raise Missing(f"{split}_data/<identity>/*.jpg is missing")
    people = identify(listing, splits["train"], splits["dev"], key=_numerically)
    test = _test(listing, splits["test"])
    faces = splits["verification"]
    dev_pairs, test_pairs = pair_lists.read_both(listing, LISTS, faces, problems)
    needed = pair_lists.named_in(test_pairs)
    submissions = {}
    if test:
        submissions["classification"] = Submission(["id", "label"], "name", "identity")
    if test_pairs:
        submissions["verification"] = Submission(["Id", "Category"], "pair", "score")
    return Layout(
        people.classes,
        {
            "train": people.train,
            "dev": people.dev,
            "test": test,
            "verification": [Item(file, name, is_needed=name in needed) for name, file in faces.items()],
        },
        submissions,
        problems + people.problems,
        pairs={"dev": dev_pairs, "test": test_pairs} if dev_pairs else {},
        samples=tables.sample_submissions(
            listing,
            classification=("test images", [item.name for item in test]),
            verification=("test pairs", [f"{name} {other}" for name, other, _ in test_pairs]),
        ),
    )


def _sort(listing: Listing) -> tuple[Splits, list[tuple[str, str]]]:
    """Return the images by split, with verification_data/ in the verification's names, and (where, reason) of the others."""
    splits, problems = Splits(listing), []
    for file in listing.images:
        parts = file.parts
        depth = next((index + 1 for index, folder in enumerate(file.folders) if folder in SPLITS), None)
        if depth is None:
            continue
        split = SPLITS[file.folders[depth - 1]]
        if split in ("train", "dev") and len(parts) != depth + 2:
            problems.append((listing.where(file), f"is not in {parts[depth - 1]}/<identity>/"))
        else:
            splits.add(split, file, depth - 1 if split == "verification" else depth)
    return splits, problems


def _numerically(name: str) -> tuple[int, str]:
    return (int(name), name) if name.isascii() and name.isdecimal() else (-1, name)


def _test(listing: Listing, files: dict[str, File]) -> list[Item]:
    """Return the test images by file name, in the order of the list or, without one, of their numbers."""
    by_name: dict[str, File] = {}
    for path, file in files.items():
        if by_name.setdefault(path.rpartition("/")[2], file) != file:
            raise InputError(f"{listing.where(file)}: another test image has the same name, which is its id in a submission")
    names = sorted(by_name, key=lambda name: _numerically(name.rpartition(".")[0]))
    table = listing.table(ORDER.replace(".", r"\."))
    if table is not None:
        if not files:
            raise Missing("test_data/ is missing")
        where = listing.where(table)
        names = [line.rpartition("/")[2] for _, line in pair_lists.text_lines(listing.read(table), where)]
        if sorted(names) != sorted(by_name):
            wrong = next(iter(set(names) ^ by_name.keys()), "one of them twice")
            raise InputError(f"{where}: lists {len(names):,} images, and test_data has {len(by_name):,} ({wrong})")
    return [Item(by_name[name], name, is_needed=True) for name in names]
