"""HW2P2 of spring 2022: folders by split and identity, and pairs to verify.

    classification/classification/{train,dev}/<identity>/*, …/test/*   and train_subset/, copies of images in train
    verification/verification/{dev,test}/*                             the images of the two tables
    verification_dev.csv, verification_test.csv                        rows `img1,img2,0|1`; without the third column in
                                                                       test

The verification's submission has each test row's cosine similarity.
"""

from stages.images.raw.listing import File, Listing, Splits
from stages.tasks.faces.raw import pair_lists, tables
from stages.tasks.faces.raw.identities import identify
from stages.tasks.faces.raw.layout import Item, Layout, Submission
from stages.tasks.faces.raw.layouts import gallery
from stages.tasks.faces.raw.pair_lists import Lists
from stages.tasks.faces.settings import Settings

LISTS = Lists(
    r"verification_dev\.csv", r"verification_test\.csv", "verification_dev.csv", "verification/verification/{dev,test}/"
)


def read(listing: Listing, settings: Settings, seed: int) -> Layout:
    """Read the layout. Raises Missing, and InputError, naming a file or folder, if something does not fit."""
    verification, others = Splits(listing), []
    for file in listing.images:
        if _is_verification(file):
            verification.add("verification", file, len(file.parts) - 2)  # so that names begin with dev/ or test/
        else:
            others.append(file)
    splits, problems = gallery.sort(listing, others)
    gallery.check_complete(listing, splits)
    people, faces = identify(listing, splits["train"], splits["dev"]), verification["verification"]
    renames = (lambda name: f"dev/{name}", lambda name: f"test/{name}")
    dev, test = pair_lists.read_both(listing, LISTS, faces, problems, renames)
    needed = pair_lists.named_in(test)
    submissions = {}
    if "test" in splits:
        submissions["classification"] = Submission(gallery.HEADER, "name", "index")
    if test:
        submissions["verification"] = Submission(["id", "match"], "row", "score")
    return Layout(
        people.classes,
        {
            "train": people.train,
            "dev": people.dev,
            "test": [Item(file, name, is_needed=True) for name, file in splits["test"].items()],
            "verification": [Item(file, name, is_needed=name in needed) for name, file in faces.items()],
        },
        submissions,
        problems + people.problems,
        pairs={"dev": dev, "test": test} if dev else {},
        samples=tables.sample_submissions(
            listing,
            classification=("test images", list(splits["test"])),
            verification=("test pairs", tables.row_ids(len(test))),
        ),
        ignored=gallery.IGNORED,
    )


def _is_verification(file: File) -> bool:
    return file.parts[-3:-2] == ("verification",) and file.parts[-2] in ("dev", "test")
