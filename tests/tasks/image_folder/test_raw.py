"""Folders and archives of images -> arrays: what is understood, what is refused, and that nothing is dropped in silence."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stages.config.check import build
from stages.core.errors import InputError
from stages.data.archive import open_all
from stages.data.packed import read_texts
from stages.data.understood import lines
from stages.images.statistics import PackedStats
from stages.sources import path as sources
from stages.tasks.image_folder import raw
from stages.tasks.image_folder.settings import Settings

SIDE = 16
BLOCK: dict[str, Any] = {
    "kind": "image_folder",
    "inputs": "images",
    "source": "pets",
    "side": SIDE,
    "on_bad": "error",
    "max_unpacked_gb": 1,
    "public": [],
    "competitions": {},
    "sample": {},
}


def picture(seed: int, height: int = 20, width: int = 30, suffix: str = ".png") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1])


def pictures(*names: str) -> dict[str, bytes]:
    return {name: picture(seed, suffix=Path(name).suffix.lower()) for seed, name in enumerate(names)}


PLAIN = pictures(*[f"{label}/{number}.png" for label in ("cat", "dog") for number in range(10)])
SPLIT = pictures(*[f"{split}/{label}/{number}.jpg" for split in ("train", "dev") for label in "ab" for number in range(3)])


def write(folder: Path, files: dict[str, bytes]) -> Path:
    """The files in a folder; a name that ends in a slash is an empty folder."""
    for name, content in files.items():
        file = folder / name
        (file if name.endswith("/") else file.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            file.write_bytes(content)
    return folder


def pack(tmp_path: Path, *given: Path, **changes: Any) -> PackedStats:
    """The statistics of sources, through the stages download and normalize; the arrays are in tmp_path/features."""
    shutil.rmtree(tmp_path / "archives", ignore_errors=True)
    shutil.rmtree(tmp_path / "features", ignore_errors=True)
    for name in ("archives", "features"):
        (tmp_path / name).mkdir()
    settings = build(Settings, BLOCK | changes, "tasks.pets")
    sources.fetch([str(path) for path in given], tmp_path / "archives", "tasks.pets.source")
    return raw.pack(open_all(tmp_path / "archives"), tmp_path / "features", settings, seed=1)


def split(tmp_path: Path, name: str) -> dict[str, tuple[np.ndarray, int]]:
    """Image and label by name."""
    folder = tmp_path / "features" / name
    images, labels, names = np.load(folder / "images.npy"), np.load(folder / "labels.npy"), read_texts(folder / "names")
    return {name: (image, int(label)) for name, image, label in zip(names, images, labels, strict=True)}


def test_a_share_of_each_class_is_held_out(tmp_path: Path) -> None:
    files = pictures(*[f"{label}/{n}.png" for label, num in (("a", 20), ("b", 5), ("c", 2)) for n in range(num)])
    stats = pack(tmp_path, write(tmp_path / "pets", files), dev_fraction=0.2)
    train, dev = split(tmp_path, "train"), split(tmp_path, "dev")
    assert train.keys() | dev.keys() == files.keys() and not train.keys() & dev.keys()
    assert Counter(name[0] for name in dev) == {"a": 4, "b": 1, "c": 1}
    assert all(label == "abc".index(name[0]) for name, (_, label) in (train | dev).items())
    assert stats.classes == ["a", "b", "c"] and stats.num == {"train": 21, "dev": 6, "test": 0}
    assert lines(stats.understood) == [
        "layout: a folder for each class; 0.2 of each class's images, at least one, held out as dev",
        "classes: 3: a, b, c",
        "items: 21 train, 6 dev",
        "submission: none, as there are no test items",
    ]


def test_each_image_is_in_one_fold(tmp_path: Path) -> None:
    pets, dev = write(tmp_path / "pets", PLAIN), list[str]()
    for number in range(3):
        stats = pack(tmp_path, pets, fold={"of": 3, "number": number})
        assert lines(stats.understood)[0] == f"layout: a folder for each class; fold {number} of 3 held out as dev"
        dev += split(tmp_path, "dev")
    assert sorted(dev) == sorted(PLAIN)
    with pytest.raises(InputError, match=r"archives: has a dev split of its own, .*; leave `fold` empty$"):
        pack(tmp_path, write(tmp_path / "split", SPLIT), fold={"of": 3, "number": 0})


def test_an_image_is_its_middle_square_scaled(tmp_path: Path) -> None:
    wide, high = np.zeros((16, 40, 3), np.uint8), np.zeros((64, 32, 3), np.uint8)
    wide[:, 12:28], high[16:48] = (10, 20, 30), (40, 50, 60)  # BGR
    extreme = {f"a/{name}.png": bytes(cv2.imencode(".png", image)[1]) for name, image in (("wide", wide), ("high", high))}
    pack(tmp_path, write(tmp_path / "pets", PLAIN | extreme))
    images = split(tmp_path, "train") | split(tmp_path, "dev")
    assert (images["a/wide.png"][0] == (30, 20, 10)).all() and (images["a/high.png"][0] == (60, 50, 40)).all()


def test_images_that_lose_their_transparency_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    glyph = bytes(cv2.imencode(".png", np.zeros((20, 20, 4), np.uint8))[1])
    pack(tmp_path, write(tmp_path / "pets", PLAIN | {"cat/a.png": glyph, "test/b.png": glyph}))
    assert "alpha: dropped from 2 images" in capsys.readouterr().out


@pytest.mark.parametrize(("above", "name"), [("", "dev"), ("data/pets/", "val"), ("", "valid"), ("", "validation")])
def test_folders_by_split(tmp_path: Path, above: str, name: str) -> None:
    files = {f"{above}{file.replace('dev', name)}": content for file, content in SPLIT.items()}
    files |= pictures(f"{above}test/2.png", f"{above}test/10.JPEG", f"{above}test/more/1.png")
    stats = pack(tmp_path, write(tmp_path / "pets", files | {f"{above}readme.txt": b"of pets"}))
    assert stats.num == {"train": 6, "dev": 6, "test": 3}
    assert split(tmp_path, "dev").keys() == {f"{label}/{n}.jpg" for label in "ab" for n in range(3)}
    assert {name: label for name, (_, label) in split(tmp_path, "test").items()} == dict.fromkeys(
        ["2.png", "10.JPEG", "more/1.png"], -1
    )
    assert stats.understood.layout == "a folder for each class, by split"
    assert "submission: submission.csv (id,label)" in lines(stats.understood)


def test_a_split_may_have_capitals(tmp_path: Path) -> None:
    test = pictures("Test/2.png", "Test/a/1.png")
    stats = pack(tmp_path, write(tmp_path / "plain", PLAIN | test))
    assert stats.classes == ["cat", "dog"] and split(tmp_path, "test").keys() == {"2.png", "a/1.png"}
    capitals = {name.replace("train", "TRAIN").replace("dev", "Val"): content for name, content in SPLIT.items()}
    assert pack(tmp_path, write(tmp_path / "split", capitals | test)).num == {"train": 6, "dev": 6, "test": 2}
    with pytest.raises(InputError, match=r"a folder Test is in the place of a class, .*, or rename the folder"):
        pack(tmp_path, write(tmp_path / "in_train", SPLIT | pictures("train/Test/1.png")))


def test_dev_is_held_out_of_train_where_there_is_no_dev_folder(tmp_path: Path) -> None:
    stats = pack(tmp_path, write(tmp_path / "pets", {f"train/{name}": content for name, content in PLAIN.items()}))
    assert stats.num == {"train": 18, "dev": 2, "test": 0}
    assert "by split; 0.1 of each class's images" in stats.understood.layout


def test_the_folders_of_test_are_no_labels_and_it_says_so(tmp_path: Path) -> None:
    stats = pack(tmp_path, write(tmp_path / "pets", SPLIT | pictures("test/a/1.png", "test/b/2.png")))
    assert {label for _, label in split(tmp_path, "test").values()} == {-1}
    assert "the folders in test/ are not read as labels" in lines(stats.understood)[0]


def test_the_parts_of_a_folder_may_be_several_archives(tmp_path: Path) -> None:
    cats, dogs = ({name: PLAIN[name] for name in PLAIN if name.startswith(label)} for label in ("cat", "dog"))
    assert pack(tmp_path, write(tmp_path / "one", cats), write(tmp_path / "two", dogs)).num["train"] == 18


GOOD = picture(0)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"cat/1.png": GOOD, "cat/2.png": GOOD}, "there is only one class, 'cat'"),
        (PLAIN | {"bird/": b""}, "bird: holds no image (.jpg, .jpeg, .png); remove the folder or fill it"),
        (SPLIT | {"dev/c/": b""}, "dev/c: holds no image"),
        (PLAIN | {"cat/x.webp": b""}, "cat/x.webp: is not an image (.jpg, .jpeg, .png)"),
        (PLAIN | {"test/x.webp": b""}, "test/x.webp: is not an image (.jpg, .jpeg, .png), and a submission needs every"),
        (PLAIN | {"cat/x.png": GOOD[:-20]}, "cat/x.png: is cut short"),
        (PLAIN | {"1.png": GOOD}, "1.png: is neither in a class's folder"),
        (PLAIN | {"cat/more/1.png": GOOD}, "both hold the train images; give one of them"),
        (SPLIT | {"val/a/1.png": GOOD}, "both hold the dev images"),
        (SPLIT | {"dev/c/1.png": GOOD}, "dev/c/1.png: train has no images of c"),
        ({"pets/images/1.png": GOOD, "pets/other/1.png": GOOD}, "a folder images is in the place of a class"),
        ({"test/1.png": GOOD}, "no image is in a class's folder"),
        ({"dev/a/1.png": GOOD}, "train/<class>/ is missing"),
        (PLAIN | {"Train/1.png": GOOD}, "train/<class>/ is missing; if train is a class, rename its folder"),
        ({"a/1.png": GOOD, "b/1.png": GOOD}, "no image for the dev split"),
        ({"a/1.bmp": b"", "b/1.bmp": b""}, "found no image (.jpg, .jpeg, .png); the first file is a/1.bmp"),
        (PLAIN | {"labels.csv": b"id,label\n"}, "labels.csv was not used"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_is_not_understood_is_refused_in_a_sentence(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(InputError) as caught:
        pack(tmp_path, write(tmp_path / "pets", files))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_bad_images_are_left_out_and_listed_where_that_is_wanted(tmp_path: Path) -> None:
    bad = {"train/a/x.jpg": b"nothing", "train/a/y.webp": b"", "train/z.jpg": GOOD, "dev/c/1.png": GOOD}
    stats = pack(tmp_path, write(tmp_path / "pets", SPLIT | bad), on_bad="skip")
    assert stats.classes == ["a", "b"] and stats.num == {"train": 6, "dev": 6, "test": 0}
    archive = tmp_path / "archives/pets.zip"
    assert sorted((entry.item, entry.reason) for entry in stats.rejected) == [
        (f"{archive}: dev/c/1.png", "train has no images of c"),
        (f"{archive}: train/a/x.jpg", "is not a readable image"),
        (f"{archive}: train/a/y.webp", "is not an image (.jpg, .jpeg, .png)"),
        (f"{archive}: train/z.jpg", "is neither in a class's folder nor in test/"),
    ]


def test_a_bad_test_image_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"test/1\.png: is cut short; a submission has a row for it, so it cannot"):
        pack(tmp_path, write(tmp_path / "pets", PLAIN | {"test/1.png": GOOD[:-20]}), on_bad="skip")


def test_a_class_whose_images_were_all_left_out_is_refused(tmp_path: Path) -> None:
    bad = {f"bird/{number}.jpg": b"nothing" for number in range(5)}
    with pytest.raises(InputError, match="no training image of the class bird"):
        pack(tmp_path, write(tmp_path / "pets", PLAIN | bad), on_bad="skip")


def test_many_classes_are_named_by_the_first_and_the_last(tmp_path: Path) -> None:
    files = pictures(*[f"{label:03}/{number}.png" for label in range(1, 31) for number in range(2)])
    assert lines(pack(tmp_path, write(tmp_path / "pets", files)).understood)[1] == "classes: 30: 001 to 030"


def test_there_is_no_sample(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^tasks\.pets\.source: this kind of task has no sample; give the path"):
        build(Settings, BLOCK | {"source": "sample"}, "tasks.pets")
