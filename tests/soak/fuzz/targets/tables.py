"""Every CSV: CIFAR-10's labels, faces' labels and samples, speech's order, predictions, submissions. A byte chooses."""

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

from benchmarks.features import FACES, SPEECH, write_stats
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.images.raw.listing import Listing
from stages.tasks.cifar10 import submission as cifar10
from stages.tasks.cifar10.raw import kaggle
from stages.tasks.faces import statistics as faces_statistics
from stages.tasks.faces import submission as faces
from stages.tasks.faces.raw import pair_lists
from stages.tasks.faces.raw import tables as faces_tables
from stages.tasks.faces.raw.layouts.pairs import parse_labels
from stages.tasks.faces.raw.layouts.plain import parse_lfw
from stages.tasks.speech import statistics as speech_statistics
from stages.tasks.speech import submission as speech
from stages.tasks.speech.raw.layouts import hw3p2

PIECES = [
    b",",
    b'"',
    b"\n",
    b"\r\n",
    b"\r",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b'""',
    b"cat",
    b"1",
    b" ",
    "ü".encode(),
    b"\xe2\x80\xa8",
]
LABELS = b"id,label\n1,cat\n2,dog\n3,ship\n"
PEOPLE = b"id,label\n0,n000070\n1,n000000\n"
KNOWN = {"verification": faces_statistics.Submission(["id", "label"], ids="row", labels="identity")}


def _archive(folder: Path, name: str, content: bytes) -> list[Archive]:
    with zipfile.ZipFile(folder / "a.zip", "w") as archive:
        archive.writestr(name, content)
    return [Archive(folder / "a.zip")]


def _kaggle_labels(content: bytes, folder: Path) -> None:
    labels = kaggle._read_labels(_archive(folder, kaggle.LABELS, content))
    assert set(labels.values()) <= set(range(10))


def _verification_labels(content: bytes, folder: Path) -> None:
    listing = Listing(_archive(folder, faces_tables.LABELS, content))
    found = faces_tables.verification_labels(listing, ["a.jpg", "b.jpg"], {"n000070": 0})
    assert found.keys() == {"a.jpg", "b.jpg"} and set(found.values()) <= {-1, 0}


def _verification_sample(content: bytes, folder: Path) -> None:
    listing = Listing(_archive(folder, faces_tables.VERIFICATION, content))
    faces_tables.sample_submissions(listing, verification=("images of unknown_test", ["0", "1"]))


def _pairs(content: bytes, folder: Path) -> None:
    for is_csv in (False, True):
        for is_labelled in (False, True):
            try:
                lines = pair_lists.parse(content, "pairs", is_csv=is_csv, is_labelled=is_labelled)
            except InputError:
                continue
            assert all((line.pair.same is None) != is_labelled for line in lines)


def _numbered_labels(content: bytes, folder: Path) -> None:
    assert all(label >= 0 for label in parse_labels(content, "labels.txt").values())


def _lfw_pairs(content: bytes, folder: Path) -> None:
    assert all(pair.name.count("/") >= 1 for _, pair in parse_lfw(content, "pairs.txt"))


def _test_order(content: bytes, folder: Path) -> None:
    order = hw3p2.test_order(_archive(folder, hw3p2.ORDER, content))
    assert order is not None and sorted(order.values()) == list(range(len(order)))


def _cifar10_predictions(content: bytes, folder: Path) -> None:
    (folder / "test.csv").write_bytes(content)
    [made] = cifar10.write(folder, folder / "none", folder / "out")
    cifar10.check(made, folder / "none", folder)


def _cifar10_sample(content: bytes, folder: Path) -> None:
    (folder / "sample_submission.csv").write_bytes(content)
    (folder / "test.csv").write_bytes(b"name,predicted\n1,cat\n2,dog\n3,ship\n")
    [made] = cifar10.write(folder, folder, folder / "out")
    cifar10.check(made, folder, folder)


def _faces_predictions(content: bytes, folder: Path) -> None:
    write_stats(folder, replace(FACES, classes=["a", "b"], known=["n000070"], submissions=KNOWN))
    (folder / "verification_test.csv").write_bytes(content)
    [made] = faces.write(folder, folder, folder / "out")
    faces.check(made, folder, folder)


def _speech_predictions(content: bytes, folder: Path) -> None:
    write_stats(folder, replace(SPEECH, submission=speech_statistics.Submission(["id", "label"], "2023", [1])))
    (folder / "test.csv").write_bytes(content)
    [made] = speech.write(folder, folder, folder / "out")
    speech.check(made, folder, folder)


READERS: list[tuple[Callable[[bytes, Path], None], bytes]] = [
    (_kaggle_labels, LABELS),
    (_verification_labels, PEOPLE),
    (_verification_sample, PEOPLE),
    (_pairs, b"a.jpg b.jpg 1\na.jpg c.jpg 0\n"),
    (_numbered_labels, b"a.jpg 0\nb c.jpg 10\n"),
    (_lfw_pairs, b"1\t1\nAnn_Lee\t1\t2\nAnn_Lee\t1\tBob\t3\n"),
    (_test_order, b"file\na.npy\nb.npy\n"),
    (_cifar10_predictions, b"name,predicted\n1,cat\n10,dog\n2,ship\n"),
    (_cifar10_sample, LABELS),
    (_faces_predictions, b"name,predicted\na.jpg,n000070\nb.jpg,n000000\n"),
    (_speech_predictions, b"name,predicted\na,k\nb,kk\n"),
]


def seeds() -> list[bytes]:
    return [bytes([index]) + content for index, (_, content) in enumerate(READERS)]


def mutate(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.randint(1, 4)):
        place = random.randrange(1, len(changed) + 1)
        changed[place : place + random.choice((0, 0, 1))] = random.choice(PIECES) * random.choice((1, 1, 1, 3, 200_000))
    return bytes(changed)


def attempt(content: bytes, folder: Path) -> None:
    if content:
        READERS[content[0] % len(READERS)][0](content[1:], folder)
