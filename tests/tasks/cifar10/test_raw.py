"""Raw CIFAR-10 to packed arrays: every pixel and label arrives, and every bad item is named."""

import csv
import io
import os
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.packed import read_texts
from stages.data.understood import lines
from stages.images.settings import Sample
from stages.images.statistics import PackedStats
from stages.tasks.cifar10 import CLASSES, raw
from tests.conftest import ROOT, cifar_batch, task_settings

WriteZip = Callable[[str, dict[str, bytes]], Path]
TOP = "cifar-10-batches-py"


def pack(
    archives: Path | list[Path],
    out: Path,
    *,
    on_bad: Literal["error", "skip"] = "error",
    dev_fraction: float = 0.2,
    seed: int = 0,
    fold: Fold | None = None,
) -> PackedStats:
    settings = task_settings(
        "cifar10", source="anywhere", on_bad=on_bad, dev_fraction=dev_fraction, fold=fold, sample=Sample(10, 10)
    )
    paths = [archives] if isinstance(archives, Path) else archives
    return raw.pack([Archive(path) for path in paths], out, settings, seed)


def problem(archives: Path | list[Path], out: Path, *, on_bad: Literal["error", "skip"] = "error") -> str:
    with pytest.raises(InputError) as caught:
        pack(archives, out, on_bad=on_bad)
    return str(caught.value)


def read(out: Path, split: str) -> tuple[np.ndarray, list[int], list[str]]:
    folder = out / split
    return np.load(folder / "images.npy"), np.load(folder / "labels.npy").tolist(), read_texts(folder / "names")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# The python batches.

BATCHES = {
    f"{TOP}/batches.meta": pickle.dumps({b"label_names": [name.encode() for name in CLASSES]}, protocol=2),
    f"{TOP}/data_batch_1": cifar_batch(20, seed=1),
    f"{TOP}/data_batch_2": cifar_batch(13, seed=2),
    f"{TOP}/readme.html": b"<html>",
    f"{TOP}/test_batch": cifar_batch(11, seed=3),
}


def naive(content: bytes) -> tuple[np.ndarray, list[int], list[str]]:
    """A batch read as the data set's site describes it: 1024 red, then 1024 green, then 1024 blue values, row by row."""
    batch = pickle.loads(content, encoding="bytes")
    images = np.zeros((len(batch[b"data"]), 32, 32, 3), np.uint8)
    for index, row in enumerate(batch[b"data"]):
        for channel in range(3):
            for y in range(32):
                images[index, y, :, channel] = row[1024 * channel + 32 * y : 1024 * channel + 32 * (y + 1)]
    return images, batch[b"labels"], [name.decode() for name in batch[b"filenames"]]


def test_python_batches_arrive_pixel_for_pixel(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", BATCHES), tmp_path / "out")
    first, second, test = (naive(BATCHES[f"{TOP}/{name}"]) for name in ("data_batch_1", "data_batch_2", "test_batch"))
    images, labels, names = read(tmp_path / "out", "train")
    np.testing.assert_array_equal(images, np.concatenate([first[0], second[0]]))
    assert (labels, names) == (first[1] + second[1], first[2] + second[2])
    images, labels, names = read(tmp_path / "out", "dev")
    np.testing.assert_array_equal(images, test[0])
    assert (labels, names) == (test[1], test[2])
    images, labels, names = read(tmp_path / "out", "test")
    np.testing.assert_array_equal(images, test[0])
    assert (labels, names) == ([-1] * 11, [str(number) for number in range(1, 12)])
    assert stats.num == {"train": 33, "dev": 11, "test": 11}
    assert stats.rejected == []
    assert stats.per_class == {name: 4 if label < 3 else 3 for label, name in enumerate(CLASSES)}


def test_python_batches_may_come_in_several_archives(write_zip: WriteZip, tmp_path: Path) -> None:
    parts = [write_zip(f"{index}.zip", {name: content}) for index, (name, content) in enumerate(BATCHES.items())]
    pack(parts, tmp_path / "parts")
    pack(write_zip("all.zip", BATCHES), tmp_path / "all")
    assert contents(tmp_path / "parts") == contents(tmp_path / "all")


def test_a_batch_without_file_names_numbers_its_images(write_zip: WriteZip, tmp_path: Path) -> None:
    batch = pickle.loads(BATCHES[f"{TOP}/test_batch"], encoding="bytes")
    del batch[b"filenames"]
    pack(write_zip("a.zip", BATCHES | {f"{TOP}/test_batch": pickle.dumps(batch, protocol=2)}), tmp_path / "out")
    assert read(tmp_path / "out", "dev")[2][:2] == ["test_batch#0", "test_batch#1"]


def python2(batch: dict[bytes, Any]) -> bytes:
    """A batch as Python 2 and its NumPy pickled it, which is how the data set's site has them."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    num = bytes([len(batch[b"data"])])
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    state = b"(K\x01K" + num + b"M\x00\x0c\x86" + dtype + b"\x89" + text(batch[b"data"].tobytes()) + b"tb"
    labels = b"](" + b"".join(b"K" + bytes([label]) for label in batch[b"labels"]) + b"e"
    names = b"](" + b"".join(text(name) for name in batch[b"filenames"]) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + state + text(b"labels") + labels + text(b"filenames") + names + b"u."


def test_batches_that_python_2_pickled_read_the_same(write_zip: WriteZip, tmp_path: Path) -> None:
    old = {name: python2(pickle.loads(content, encoding="bytes")) for name, content in BATCHES.items() if "_batch" in name}
    assert naive(old[f"{TOP}/test_batch"])[1:] == naive(BATCHES[f"{TOP}/test_batch"])[1:]
    pack(write_zip("old.zip", old), tmp_path / "old")
    pack(write_zip("new.zip", BATCHES), tmp_path / "new")
    assert contents(tmp_path / "old") == contents(tmp_path / "new")


class Foreign:
    """Pickled, it is a call of `function`, which loading the pickle makes."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


PIXELS = np.zeros((20, 3072), np.uint8)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged or cut short"),
        (BATCHES[f"{TOP}/data_batch_1"][:-100], "damaged"),
        (pickle.dumps([1, 2]), "is not a dictionary"),
        (pickle.dumps({}), "'data' must be an array of N x 3072 bytes"),
        (cifar_batch(20, data=PIXELS.astype(np.float32)), "'data' must be"),
        (cifar_batch(20, data=np.full((20, 3072), None)), ""),
        (cifar_batch(20, data=PIXELS[:-1]), "'labels' must be a list of 19 whole numbers"),
        (cifar_batch(20, labels=[True] * 20), "'labels' must be"),
        (cifar_batch(20, filenames=[b"one"]), "'filenames' must be a list of 20 names"),
        (
            cifar_batch(20, labels=[*range(10), 3, 10, *range(8)]),
            "image 11 (image_0_11.png): the label 10 is not one of 0 to 9",
        ),
    ],
)
def test_a_bad_batch_is_named(content: bytes, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", BATCHES | {f"{TOP}/data_batch_1": content})
    message = problem(path, tmp_path / "out")
    assert message.startswith(f"{path}: {TOP}/data_batch_1: ")
    assert words in message


def test_a_batch_cannot_run_a_program(write_zip: WriteZip, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    content = cifar_batch(20, extra=Foreign(os.system, f"touch {trace}"))
    path = write_zip("a.zip", BATCHES | {f"{TOP}/data_batch_1": content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {TOP}/data_batch_1: holds the foreign class")
    assert not trace.exists()
    pickle.loads(content)  # an ordinary unpickler would have
    assert trace.exists()


def test_a_batch_cannot_reach_into_memory(write_zip: WriteZip, tmp_path: Path) -> None:
    # An array of objects over an array of numbers, by way of a dtype whose flags say that it holds none: the numbers
    # are then taken for addresses. In a process of its own, which a batch that succeeds takes down.
    flags = b"X\x01\x00\x00\x00|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    objects = b"cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R(K\x03" + flags
    numbers = b"cnumpy\nndarray\n(K\x01\x85X\x02\x00\x00\x00i8tRK\x00\x8a\x06AAAAAAs"  # one number, 0x414141414141
    content = b"\x80\x02cnumpy\nndarray\n(K\x01\x85" + objects + numbers + b"tRK\x00Ns."
    path = write_zip("a.zip", BATCHES | {f"{TOP}/data_batch_1": content})
    code = f"""
from pathlib import Path
from tests.tasks.cifar10.test_raw import problem
print(problem(Path({str(path)!r}), Path({str(tmp_path / "out")!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{path}: {TOP}/data_batch_1: ")


def test_there_must_be_one_test_batch(write_zip: WriteZip, tmp_path: Path) -> None:
    without = {name: content for name, content in BATCHES.items() if not name.endswith("test_batch")}
    assert "0 members are called test_batch" in problem(write_zip("raw/a.zip", without), tmp_path / "out")
    twice = BATCHES | {"other/test_batch": BATCHES[f"{TOP}/test_batch"]}
    message = problem(write_zip("raw/a.zip", twice), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: 2 members are called test_batch")


@pytest.mark.parametrize("suffix", ["", ".bin"])
def test_a_batch_that_is_there_twice_is_refused(suffix: str, write_zip: WriteZip, tmp_path: Path) -> None:
    names = [f"{folder}/{batch}{suffix}" for folder in ("new", "old") for batch in ("data_batch_1", "data_batch_2")]
    path = write_zip("raw/a.zip", dict.fromkeys([*names, f"new/test_batch{suffix}"], b""))
    message = f"{tmp_path / 'raw'}: 2 members are called data_batch_1{suffix}, but there must be one"
    assert problem(path, tmp_path / "out") == message


def test_a_class_without_training_images_is_named(write_zip: WriteZip, tmp_path: Path) -> None:
    labels = [index % 9 for index in range(20)]
    members = BATCHES | {f"{TOP}/data_batch_{number}": cifar_batch(20, number, labels=labels) for number in (1, 2)}
    path = write_zip("raw/a.zip", members)
    assert problem(path, tmp_path / "out") == f"{tmp_path / 'raw'}: no training image of the class truck"


def test_a_bad_label_is_left_out_and_listed_when_so_asked(write_zip: WriteZip, tmp_path: Path) -> None:
    content = cifar_batch(20, seed=1, labels=[*range(10), 3, 99, *range(8)])
    path = write_zip("a.zip", BATCHES | {f"{TOP}/data_batch_1": content})
    stats = pack(path, tmp_path / "out", on_bad="skip")
    [rejected] = stats.rejected
    assert rejected.item == f"{path}: {TOP}/data_batch_1: image 11 (image_1_11.png)"
    assert rejected.reason == "the label 99 is not one of 0 to 9"
    assert stats.num == {"train": 32, "dev": 11, "test": 11}
    names = read(tmp_path / "out", "train")[2]
    assert len(names) == 32
    assert "image_1_11.png" not in names


# Kaggle's layout.


def png(pixels: np.ndarray) -> bytes:
    """The simplest PNG there is: no filter, one chunk of pixels."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def table(rows: list[tuple[str, str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("id", "label"), *rows])
    return text.getvalue().encode()


TRAIN = np.random.default_rng(1).integers(0, 256, (60, 32, 32, 3), np.uint8)
TEST = np.random.default_rng(2).integers(0, 256, (7, 32, 32, 3), np.uint8)
LABELS = [(str(number), CLASSES[(7 * number) % 10]) for number in range(1, 61)]
KAGGLE = {
    **{f"train/{number}.png": png(image) for number, image in enumerate(TRAIN, start=1)},
    **{f"test/{number}.png": png(image) for number, image in enumerate(TEST, start=1)},
    "trainLabels.csv": table(LABELS),
    "sampleSubmission.csv": table([(str(number), "cat") for number in range(1, 8)]),
}


def test_kaggles_images_arrive_pixel_for_pixel(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", KAGGLE), tmp_path / "out")
    found = {}
    for split in ("train", "dev"):
        for image, label, name in zip(*read(tmp_path / "out", split), strict=True):
            np.testing.assert_array_equal(image, TRAIN[int(name) - 1])
            found[name] = CLASSES[label]
    assert found == dict(LABELS)
    images, labels, names = read(tmp_path / "out", "test")
    np.testing.assert_array_equal(images, TEST)
    assert (labels, names) == ([-1] * 7, [str(number) for number in range(1, 8)])
    assert stats.num == {"train": 50, "dev": 10, "test": 7}
    assert (tmp_path / "out" / "sample_submission.csv").read_bytes() == KAGGLE["sampleSubmission.csv"]


def test_kaggles_folders_may_have_capitals(write_zip: WriteZip, tmp_path: Path) -> None:
    pack(write_zip("a.zip", KAGGLE), tmp_path / "a")
    capitals = {name.replace("train/", "Train/").replace("test/", "TEST/"): KAGGLE[name] for name in KAGGLE}
    pack(write_zip("b.zip", capitals), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_the_test_images_may_be_missing(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", {name: KAGGLE[name] for name in KAGGLE if "test" not in name}), tmp_path / "out")
    assert stats.num["test"] == 0
    assert read(tmp_path / "out", "test")[0].shape == (0, 32, 32, 3)


@pytest.mark.parametrize("missing", ["train", "test"])
def test_images_that_are_still_in_a_7z_are_refused(missing: str, write_zip: WriteZip, tmp_path: Path) -> None:
    packed = {"train.7z": b"", "test.7z": b""}
    rest = {name: content for name, content in KAGGLE.items() if not name.startswith(missing)}
    path = write_zip("a.zip", rest | {"trainLabels.csv": KAGGLE["trainLabels.csv"]} | packed)
    assert problem(path, tmp_path / "out").startswith(f"{path}: {missing}.7z is another archive, and no archive holds")


def test_a_7z_may_lie_beside_an_archive_of_its_images(write_zip: WriteZip, tmp_path: Path) -> None:
    images = {name: content for name, content in KAGGLE.items() if name.endswith(".png")}
    rest = {name: content for name, content in KAGGLE.items() if name not in images}
    parts = [write_zip("cifar-10.zip", rest | {"train.7z": b"", "test.7z": b""}), write_zip("images.zip", images)]
    pack(parts, tmp_path / "parts")
    pack(write_zip("all.zip", KAGGLE), tmp_path / "all")
    assert contents(tmp_path / "parts") == contents(tmp_path / "all")


def test_the_statistics_are_those_of_the_training_images_alone(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", KAGGLE), tmp_path / "out")
    pixels = read(tmp_path / "out", "train")[0].astype(np.float64)
    np.testing.assert_allclose(stats.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(stats.std, pixels.std((0, 1, 2)), rtol=1e-12)


def test_the_dev_split_is_a_share_of_every_class_drawn_by_the_seed(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", KAGGLE)
    dev = {}
    for name, seed, fraction in (("first", 1, 0.34), ("same", 1, 0.34), ("other", 2, 0.34), ("half", 1, 0.5)):
        pack(path, tmp_path / name, seed=seed, dev_fraction=fraction)
        _, labels, dev[name] = read(tmp_path / name, "dev")
        assert sorted(labels) == sorted((2 if fraction == 0.34 else 3) * list(range(10)))  # of six a class
        assert sorted(dev[name] + read(tmp_path / name, "train")[2], key=int) == [number for number, _ in LABELS]
    assert contents(tmp_path / "first") == contents(tmp_path / "same")
    assert set(dev["first"]) != set(dev["other"])


def test_the_dev_split_does_not_depend_on_the_order_of_the_archive(write_zip: WriteZip, tmp_path: Path) -> None:
    labels = {"trainLabels.csv": table(LABELS[::-1])}
    pack(write_zip("a.zip", KAGGLE), tmp_path / "a")
    pack(write_zip("b.zip", dict(reversed((KAGGLE | labels).items()))), tmp_path / "b")
    assert set(read(tmp_path / "a", "dev")[2]) == set(read(tmp_path / "b", "dev")[2])


def test_each_of_kaggles_training_images_is_in_one_fold(write_zip: WriteZip, tmp_path: Path) -> None:
    path, dev = write_zip("a.zip", KAGGLE), list[str]()
    for number in range(4):
        stats = pack(path, tmp_path / str(number), fold=Fold(4, number))
        _, labels, names = read(tmp_path / str(number), "dev")
        assert stats.num == {"train": 45, "dev": 15, "test": 7}
        assert lines(stats.understood)[0] == f"layout: Kaggle's competition cifar-10; fold {number} of 4 held out as dev"
        assert all(labels.count(label) in (1, 2) for label in range(10)), "of six a class"
        dev += names
    assert sorted(dev, key=int) == [name for name, _ in LABELS]


def test_a_fold_in_place_of_the_published_test_images_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"raw: has a dev split of its own, which a fold cannot replace"):
        pack(write_zip("raw/a.zip", BATCHES), tmp_path / "out", fold=Fold(5, 0))


def test_a_dev_fraction_that_leaves_no_image_is_an_input_error(write_zip: WriteZip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="dev_fraction"):
        pack(write_zip("a.zip", KAGGLE), tmp_path / "out", dev_fraction=0.01)


def huge() -> bytes:
    """A PNG of a few bytes that claims 40,000 x 40,000 pixels."""
    content = bytearray(png(TRAIN[0]))
    struct.pack_into(">II", content, 16, 40_000, 40_000)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    return bytes(content)


BAD_IMAGES = {
    "truncated": png(TRAIN[0])[:-200],
    "without its end": png(TRAIN[0])[:-12],
    "another size": png(TRAIN[0][:31]),
    "empty": b"",
    "no image": b"<html>not found</html>",
    "huge": huge(),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_is_named_or_left_out_when_so_asked(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", KAGGLE | {"train/4.png": BAD_IMAGES[kind]})
    assert problem(path, tmp_path / "out").startswith(f"{path}: train/4.png: is not a readable 32x32 colour PNG")
    stats = pack(path, tmp_path / "out", on_bad="skip")
    assert [rejected.item for rejected in stats.rejected] == [f"{path}: train/4.png"]
    assert sum(stats.num.values()) == 66
    assert "4" not in [name for split in ("train", "dev") for name in read(tmp_path / "out", split)[2]]


@pytest.mark.parametrize(("files", "member"), [(KAGGLE, "test/2.png"), ({}, "test/cat/0.png")])
def test_a_bad_test_image_cannot_be_left_out(
    files: dict[str, bytes], member: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    files = files or {f"{split}/{name}/0.png": png(TRAIN[0]) for split in ("train", "test") for name in CLASSES}
    path = write_zip("a.zip", files | {member: b""})
    for on_bad in ("error", "skip"):
        assert problem(path, tmp_path / "out", on_bad=on_bad) == (
            f"{path}: {member}: is not a readable 32x32 colour PNG; a submission has a row for it, so it cannot be left out"
        )


@pytest.mark.parametrize(
    ("changes", "member", "words"),
    [
        ({"train/99.png": png(TRAIN[0])}, "train/99.png", "has no line in trainLabels.csv"),
        ({"train/3.png": None}, "train/3.png", "is listed in trainLabels.csv but missing"),
        ({"other/train/3.png": png(TRAIN[2])}, "other/train/3.png", "is a duplicate"),
        ({"other/test/3.png": png(TEST[2])}, "other/test/3.png", "is a duplicate"),
    ],
)
def test_images_and_labels_that_do_not_match_are_named_or_left_out_when_so_asked(
    changes: dict[str, bytes | None], member: str, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    members = {name: content for name, content in (KAGGLE | changes).items() if content is not None}
    path = write_zip("raw/a.zip", members)
    message = problem(path, tmp_path / "out")
    assert message.startswith(str(tmp_path / "raw"))
    assert f": {member}: {words}" in message
    [rejected] = pack(path, tmp_path / "out", on_bad="skip").rejected
    assert rejected.item.endswith(f": {member}")
    assert rejected.reason == words


def test_rejected_items_are_listed_in_the_same_order_every_time(write_zip: WriteZip, tmp_path: Path) -> None:
    # stats.json is an output that DVC compares by its bytes. These ids have one order as text, as numbers and in the table.
    gone = [f"train/{number}.png" for number in range(10, 30)]
    path = write_zip("a.zip", {name: content for name, content in KAGGLE.items() if name not in gone})
    rejected = pack(path, tmp_path / "out", on_bad="skip").rejected
    assert [entry.item.split(": ")[-1] for entry in rejected] == gone


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (table([*LABELS[:3], ("4", "airplan"), *LABELS[4:]]), "line 5: 'airplan' is not a class; did you mean 'airplane'?"),
        (table([*LABELS, ("4", "cat")]), "line 62: id '4' is a duplicate"),
        (b"id,label\n1,cat,2\n", "line 2: has 3 columns"),
        (b"name,class\n1,cat\n", "its first line must be id,label"),
        (b"id,label\n1,\xe9\n", "line 2: is not UTF-8 text"),
    ],
)
def test_a_bad_table_of_labels_is_named_with_its_line(
    content: bytes, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", KAGGLE | {"trainLabels.csv": content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: trainLabels.csv: {words}")


@pytest.mark.parametrize("name", ["trainLabels.csv", "sampleSubmission.csv"])
def test_a_second_table_is_refused(name: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", KAGGLE | {f"old/{name}": KAGGLE[name]})
    assert problem(path, tmp_path / "out") == f"{path}: old/{name}: is a duplicate of {path}: {name}; remove one"


def test_a_sample_submission_of_other_images_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", {name: KAGGLE[name] for name in KAGGLE if name != "test/7.png"})
    for on_bad in ("error", "skip"):
        assert problem(path, tmp_path / "out", on_bad=on_bad) == (
            f"{path}: sampleSubmission.csv: has 7 rows below its header, but there are 6 test images"
        )


# The binary version, and a folder for each class.


def test_the_binary_version_holds_what_the_python_batches_hold(write_zip: WriteZip, tmp_path: Path) -> None:
    def record(content: bytes) -> bytes:
        batch = pickle.loads(content, encoding="bytes")
        rows = zip(batch[b"labels"], batch[b"data"], strict=True)
        return b"".join(bytes([label]) + pixels.tobytes() for label, pixels in rows)

    batches = {f"{name}.bin": record(BATCHES[f"{TOP}/{name}"]) for name in ("data_batch_1", "data_batch_2", "test_batch")}
    stats = pack(write_zip("binary.zip", {**batches, "batches.meta.txt": b"", "readme.html": b""}), tmp_path / "binary")
    other = pack(write_zip("python.zip", BATCHES), tmp_path / "python")
    assert stats.understood.layout == "CIFAR-10, binary version"
    assert (stats.num, stats.mean, stats.std) == (other.num, other.mean, other.std)
    for split in ("train", "dev", "test"):
        (images, labels, _), (expected, expected_labels, _) = (read(tmp_path / kind, split) for kind in ("binary", "python"))
        assert np.array_equal(images, expected) and labels == expected_labels
    # CIFAR-100 has a second label in each record.
    path = write_zip("cut.zip", {**batches, "data_batch_1.bin": batches["data_batch_1.bin"] + b"\0"})
    assert "data_batch_1.bin: has 61,461 bytes, which are not whole records of 3,073" in problem(path, tmp_path / "cut")


def test_a_folder_for_each_class_gives_train_dev_and_test(write_zip: WriteZip, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = {
        f"cifar10/{split}/{name}/{index}_{name}.png": random.integers(0, 256, (32, 32, 3), np.uint8)
        for split, num in (("train", 3), ("test", 2))
        for name in reversed(CLASSES)
        for index in range(num)
    }
    members = {name: png(image) for name, image in images.items()}
    stats = pack(
        write_zip("a.zip", {**members, "cifar10/labels.txt": b"\n".join(map(str.encode, CLASSES))}), tmp_path / "out"
    )
    assert stats.num == {"train": 30, "dev": 20, "test": 20}
    for split, folder in (("train", "train"), ("dev", "test")):
        for image, label, name in zip(*read(tmp_path / "out", split), strict=True):
            assert name.partition("/")[0] == CLASSES[label]
            assert np.array_equal(image, images[f"cifar10/{folder}/{name}.png"])
    expected = sorted((name.rpartition("/")[2], name) for name in images if "/test/" in name)
    found, _, numbers = read(tmp_path / "out", "test")
    for image, number in zip(found, numbers, strict=True):
        assert np.array_equal(image, images[expected[int(number) - 1][1]])
    no_test = {name: content for name, content in members.items() if "/test/" not in name}
    assert "no test/<class>/*.png" in problem(write_zip("b.zip", no_test), tmp_path / "b")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "cifar-100-python/train",
            "looks like the python version of CIFAR-100, another data set; use cifar-10-python.tar.gz",
        ),
        ("cifar-10-batches-mat/data_batch_1.mat", "looks like the Matlab version"),
        ("plain_text/train-00000-of-00001.parquet", "looks like Hugging Face's parquet"),
        ("readme.txt", "found none of the layouts of CIFAR-10"),
    ],
)
def test_what_is_not_read_is_refused_by_name(name: str, said: str, write_zip: WriteZip, tmp_path: Path) -> None:
    assert said in problem(write_zip("raw/a.zip", {name: b"hello"}), tmp_path / "out")


def test_two_layouts_at_once_are_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", {**BATCHES, "trainLabels.csv": b"id,label\n"})
    assert "holds two layouts, CIFAR-10, python version and Kaggle's competition cifar-10" in problem(path, tmp_path / "out")
