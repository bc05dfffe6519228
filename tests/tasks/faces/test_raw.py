"""Raw faces to packed arrays: every image arrives as it came, and every bad one, and every misfit, is named."""

import base64
import hashlib
import io
import json
import struct
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data.archive import Archive, pack_folder
from stages.data.packed import RaggedArray, read_texts
from stages.images.raw import image as images
from stages.tasks.faces import raw
from stages.tasks.faces.raw import examining
from stages.tasks.faces.settings import Sample, Settings
from stages.tasks.faces.statistics import Stats
from tests.conftest import task_settings

WriteZip = Callable[[str, dict[str, bytes]], Path]
CLASSIFICATION, VERIFICATION = "11-785-s23-hw2p2-classification", "11-785-s23-hw2p2-verification"


def pack(
    archives: Path | list[Path],
    out: Path,
    *,
    on_bad: Literal["error", "skip"] = "error",
    side: int | None = None,
    fold: Fold | None = None,
) -> Stats:
    out.mkdir(exist_ok=True)
    paths = [archives] if isinstance(archives, Path) else archives
    return raw.pack([Archive(path) for path in paths], out, settings(on_bad=on_bad, side=side, fold=fold), 0)


def settings(**changes: Any) -> Settings:
    found: Settings = task_settings("faces", source="anywhere", sample=Sample(1, 1, 1, 1, 1, 1), **changes)
    return found


def problem(archives: Path | list[Path], out: Path, *, on_bad: Literal["error", "skip"] = "error") -> str:
    with pytest.raises(InputError) as caught:
        pack(archives, out, on_bad=on_bad)
    return str(caught.value)


def read(out: Path, split: str) -> list[tuple[str, int, bytes]]:
    """(name, label, content) of each image."""
    folder = out / split
    contents, labels = RaggedArray(folder / "images"), np.load(folder / "labels.npy")
    assert contents.values.dtype == np.uint8 and labels.dtype == np.int64
    return [
        (name, int(label), bytes(content))
        for name, label, content in zip(read_texts(folder / "names"), labels, contents, strict=True)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def face(seed: int, height: int = 12, width: int = 12, suffix: str = ".jpg") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), np.uint8)
    return cv2.imencode(suffix, cv2.resize(pixels, (width, height)))[1].tobytes()


def table(header: str, ids: list[str], labels: list[str]) -> bytes:
    return "\n".join([header, *[f"{index},{label}" for index, label in zip(ids, labels, strict=True)], ""]).encode()


# Neither the archives' order nor the identities' first appearance is that of the names.
TRAIN = [f"n{identity:06}/{image:04}_01.jpg" for image in (3, 1, 2) for identity in (540, 40, 9)]
DEV = [f"n{identity:06}/0009_01.jpg" for identity in (40, 540, 9)]
TEST = [f"{index:05}.jpg" for index in (4, 0, 3, 1, 2)]
KNOWN = [f"n{identity:06}/0001_01.jpg" for identity in (300, 70, 200)]
UNKNOWN_DEV = [f"{index:05}.jpg" for index in (2, 0, 3, 1)]
UNKNOWN_TEST = [f"{index:05}.jpg" for index in (1, 0)]
DEV_LABELS = ["n000070", "n000000", "n000300", "n000070"]


def folder(top: str, names: list[str], seed: int) -> dict[str, bytes]:
    return {f"{top}/{name}": face(seed + index) for index, name in enumerate(names)}


CLASSES = {
    **folder(f"{CLASSIFICATION}/train", TRAIN, 0),
    **folder(f"{CLASSIFICATION}/dev", DEV, 100),
    **folder(f"{CLASSIFICATION}/test", TEST, 200),
    f"{CLASSIFICATION}/classification_sample_submission.csv": table("id,label", sorted(TEST), ["0"] * 5),
}
PAIRS = {
    **folder(f"{VERIFICATION}/known", KNOWN, 300),
    **folder(f"{VERIFICATION}/unknown_dev", UNKNOWN_DEV, 400),
    **folder(f"{VERIFICATION}/unknown_test", UNKNOWN_TEST, 500),
    f"{VERIFICATION}/verification_dev.csv": table("id,label", [*"0123"], DEV_LABELS),
    f"{VERIFICATION}/verification_sample_submission.csv": table("id,label", [*"01"], ["n000000"] * 2),
}
FOLDERS = {
    **{f"train/{who}/{index}.png": face(index, 10 + index, 16, ".png") for who in ("Zoë", "ann lee") for index in (1, 0)},
    "valid/Zoë/a.JPEG": face(5, 20, 11),
    "valid/ann lee/b.PNG": face(6, 9, 9, ".png"),
    "test/x/y/2.jpg": face(7),
    "test/1.jpg": face(8),
}


@pytest.fixture
def archives(write_zip: WriteZip) -> list[Path]:
    return [write_zip("raw/classes.zip", CLASSES), write_zip("raw/pairs.zip", PAIRS)]


# Both layouts arrive.


def test_the_competitions_images_arrive_byte_for_byte_in_the_order_of_their_names(
    archives: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    stats = pack(archives, out)
    assert stats.classes == ["n000009", "n000040", "n000540"]
    assert stats.known == ["n000070", "n000200", "n000300"]
    everything = CLASSES | PAIRS
    for split, top, names in (
        ("train", CLASSIFICATION, TRAIN),
        ("dev", CLASSIFICATION, DEV),
        ("test", CLASSIFICATION, TEST),
        ("known", VERIFICATION, KNOWN),
        ("unknown_dev", VERIFICATION, UNKNOWN_DEV),
        ("unknown_test", VERIFICATION, UNKNOWN_TEST),
    ):
        found = read(out, split)
        assert [name for name, _, _ in found] == sorted(names)
        assert all(content == everything[f"{top}/{split}/{name}"] for name, _, content in found)
        assert stats.num[split] == len(names)
    for split, identities in (("train", stats.classes), ("dev", stats.classes), ("known", stats.known)):
        assert all(identities[label] == name.split("/")[0] for name, label, _ in read(out, split))
    assert [label for _, label, _ in read(out, "unknown_dev")] == [0, -1, 2, 0]
    for split in ("test", "unknown_test"):
        assert {label for _, label, _ in read(out, split)} == {-1}
    assert (stats.side, stats.rejected, stats.converted) == (12, [], {})
    assert json.loads((out / "stats.json").read_text()) == asdict(stats)
    for name in ("classification_sample_submission.csv", "verification_sample_submission.csv"):
        [content] = [content for member, content in everything.items() if member.endswith(name)]
        assert (out / name).read_bytes() == content
    assert {path.name for path in out.iterdir()} == {
        *("stats.json", "classification_sample_submission.csv", "verification_sample_submission.csv"),
        *[split for split, num in stats.num.items() if num],
    }


def test_every_kind_and_order_of_archives_gives_the_same(archives: list[Path], write_zip: WriteZip, tmp_path: Path) -> None:
    everything = CLASSES | PAIRS
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        for name, content in sorted(everything.items(), key=lambda item: hashlib.md5(item[0].encode()).digest()):
            info = tarfile.TarInfo(f"another top/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    for name, content in everything.items():
        path = tmp_path / "folder" / Path(name).relative_to(Path(name).parts[0])  # without any top folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    pack_folder(tmp_path / "folder", tmp_path / "c.zip")
    backwards = write_zip("d.zip", dict(reversed(everything.items())))
    by_split: dict[str, dict[str, bytes]] = {}
    for name, content in everything.items():
        by_split.setdefault(name.split("/")[1], {})[name] = content
    parts = [write_zip(f"parts/{split}.zip", members) for split, members in by_split.items()]
    assert len(parts) == 9
    forms: list[Path | list[Path]] = [archives, archives[::-1], tmp_path / "b.tar.gz", tmp_path / "c.zip", backwards, parts]
    for index, form in enumerate(forms):
        pack(form, tmp_path / f"out{index}")
    expected, *others = (contents(tmp_path / f"out{index}") for index in range(len(forms)))
    assert len(expected) == 6 * 5 + 3
    for other in others:
        assert other == expected


def test_a_folder_for_each_identity_is_enough(write_zip: WriteZip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stats = pack(write_zip("a.zip", FOLDERS), out)
    assert (stats.classes, stats.known) == (["Zoë", "ann lee"], [])
    assert stats.num == {
        "train": 4,
        "dev": 2,
        "test": 2,
        "known": 0,
        "unknown_dev": 0,
        "unknown_test": 0,
        "verification": 0,
    }
    names = ["Zoë/0.png", "Zoë/1.png", "ann lee/0.png", "ann lee/1.png"]
    assert [row[:2] for row in read(out, "train")] == list(zip(names, [0, 0, 1, 1], strict=True))
    assert [row[:2] for row in read(out, "dev")] == [("Zoë/a.JPEG", 0), ("ann lee/b.PNG", 1)]
    assert [row[:2] for row in read(out, "test")] == [("1.jpg", -1), ("x/y/2.jpg", -1)]
    assert read(out, "test")[1][2] == FOLDERS["test/x/y/2.jpg"]
    assert {path.name for path in out.iterdir()} == {"stats.json", "train", "dev", "test"}


def test_a_known_identity_may_have_several_images(write_zip: WriteZip, tmp_path: Path) -> None:
    more = {f"{VERIFICATION}/known/n000200/0000_01.jpg": face(1)}
    stats = pack(write_zip("a.zip", CLASSES | PAIRS | more), tmp_path / "out")
    assert [label for _, label, _ in read(tmp_path / "out", "known")] == [0, 1, 1, 2]
    assert len(stats.known) == 3


def test_files_beside_the_images_are_not_looked_at(write_zip: WriteZip, tmp_path: Path) -> None:
    others = ["README.md", "train/.DS_Store", "train/Zoë/.DS_Store", "train/Zoë/._1.png", "train/notes.txt"]
    others += [".", "test/Thumbs.db", "figures/plot.png", ".git/train/x/y.jpg", "__MACOSX/train/Bob/._1.jpg"]
    pack(write_zip("a.zip", FOLDERS), tmp_path / "a")
    pack(write_zip("b.zip", dict.fromkeys(others, b"other") | FOLDERS), tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


# Statistics.


def cropped(content: bytes, side: int) -> np.ndarray:
    """RGB pixels whose shorter side is `side` already, cropped to the middle."""
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return pixels[top : top + side, left : left + side, ::-1].astype(np.float64)


def test_the_statistics_are_those_of_what_networks_see_of_the_training_images(write_zip: WriteZip, tmp_path: Path) -> None:
    train = {f"train/{who}/{index}.jpg": face(index, *size) for who in "ab" for index, size in enumerate([(8, 8), (15, 8)])}
    members = train | {"dev/a/1.jpg": face(9, 30, 30)}
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    pixels = np.stack([cropped(content, 8) for content in train.values()])
    assert stats.side == 8
    np.testing.assert_allclose(stats.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(stats.std, pixels.std((0, 1, 2)), rtol=1e-12)


def test_images_are_scaled_to_the_side_that_was_asked_for(write_zip: WriteZip, tmp_path: Path) -> None:
    flat = {name: cv2.imencode(".png", np.full((6, 9, 3), (30, 20, 10), np.uint8))[1].tobytes() for name in FOLDERS}
    stats = pack(write_zip("a.zip", flat), tmp_path / "out", side=4)
    assert (stats.side, stats.mean, stats.std) == (4, [10, 20, 30], [1e-3] * 3)


def test_the_side_is_that_of_the_first_good_training_image_by_name(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", dict(reversed(FOLDERS.items())) | {"train/Zoë/0.png": face(0, 17, 13, ".png")})
    assert pack(path, tmp_path / "out").side == 13
    changes = {"train/Zoë/0.png": b"", "train/ann lee/1.png": face(0, 15, 15, ".png")}
    path = write_zip("a.zip", FOLDERS | changes)
    assert pack(path, tmp_path / "out", on_bad="skip").side == 11


# Bad images.


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG of a few bytes that claims so many pixels."""
    content = bytearray(face(0))
    struct.pack_into(">HH", content, content.index(b"\xff\xc0") + 5, height, width)
    return bytes(content)


def png_of_size(width: int, height: int) -> bytes:
    content = bytearray(face(0, suffix=".png"))
    struct.pack_into(">II", content, 16, width, height)
    struct.pack_into(">I", content, 29, zlib.crc32(content[12:29]))
    return bytes(content)


BIG = face(0, 64, 64)
THUMBNAIL = b"\xff\xe1" + struct.pack(">H", len(face(1)) + 2) + face(1)
BAD = {
    "text": (b"<html>not found</html>", "is not a readable image"),
    "another format": (face(0, suffix=".bmp"), "is not a readable image"),
    "without its last byte": (BIG[:-1], "is cut short"),
    "half": (BIG[: len(BIG) // 2], "is cut short"),
    "half, then zeros": (BIG[: len(BIG) // 2] + bytes(len(BIG)), "is damaged: it has zeros"),
    "half, after a whole thumbnail": (BIG[:2] + THUMBNAIL + BIG[2 : len(BIG) // 2], "is cut short"),
    "no height": (jpeg_of_size(12, 0), "is not a readable image"),
    "huge": (jpeg_of_size(40_000, 50_000), "has 40,000 x 50,000 pixels, more than 67,108,864"),
    "half a PNG": (face(0, suffix=".png")[:-30], "is cut short"),
    "a PNG without its end": (face(0, suffix=".png")[:-12], "is cut short"),
    "a PNG that changed": (face(0, suffix=".png")[:-25] + b"0" + face(0, suffix=".png")[-24:], "is not a readable image"),
    "a PNG without a header": (face(0, suffix=".png")[:8] + face(0, suffix=".png")[33:], "is not a readable image"),
    "a huge PNG": (png_of_size(2**31 - 1, 2**31 - 1), "has 2,147,483,647 x 2,147,483,647 pixels"),
    "too long to scale": (png_of_size(1, 1_000_000), "has 1 x 1,000,000 pixels, more than 67,108,864, or would have when"),
}


@pytest.mark.parametrize(
    ("kind", "member"),
    [*((kind, f"{CLASSIFICATION}/train/{TRAIN[0]}") for kind in BAD), ("half", f"{VERIFICATION}/unknown_dev/00002.jpg")],
)
def test_a_bad_image_is_named_or_left_out_when_so_asked(kind: str, member: str, write_zip: WriteZip, tmp_path: Path) -> None:
    content, words = BAD[kind]
    path = write_zip("a.zip", CLASSES | PAIRS | {member: content})
    message = problem(path, tmp_path / "out")
    assert message.startswith(f"{path}: {member}: {words}")
    assert message.endswith("`on_bad: skip` leaves such items out")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    [rejected] = stats.rejected
    assert rejected.item == f"{path}: {member}"
    assert rejected.reason.startswith(words)
    assert sum(stats.num.values()) == sum(map(len, (TRAIN, DEV, TEST, KNOWN, UNKNOWN_DEV, UNKNOWN_TEST))) - 1
    if "unknown_dev" in member:  # the others keep their rows of the table
        names = ["00000.jpg", "00001.jpg", "00003.jpg"]
        found = [row[:2] for row in read(tmp_path / "skipped", "unknown_dev")]
        assert found == list(zip(names, [0, -1, 0], strict=True))


SMOOTH = face(2, 112, 112)
GREY = cv2.imencode(".jpg", np.full((112, 112, 3), 128, np.uint8))[1].tobytes()


def scan_of(content: bytes) -> tuple[int, int]:
    """Where the data of a JPEG's last scan begin and end."""
    return content.rindex(b"\xff\xda") + 14, len(content) - 2


@pytest.mark.parametrize(("fill", "part", "side"), [(b"", 0.3, 112), (b"\xff" * 100, 0.6, 64), (b"", 0.9, 200)])
def test_a_jpeg_whose_data_end_early_is_damaged_though_its_end_is_marked(fill: bytes, part: float, side: int) -> None:
    begin, end = scan_of(SMOOTH)
    kept = begin + round(part * (end - begin))
    examined = examining.examine(SMOOTH[:kept] + fill + SMOOTH[end:], side, add_up=True)
    assert isinstance(examined, images.Problem)
    assert str(examined) == "is damaged: its data end before its last pixels"


@pytest.mark.parametrize(("begin_at", "num"), [(0.0, 32), (0.6, 64), (0.9, None)])
def test_a_jpeg_with_zeros_in_the_place_of_data_is_damaged(begin_at: float, num: int | None) -> None:
    begin, end = scan_of(SMOOTH)
    place = begin + round(begin_at * (end - begin))
    until = end if num is None else min(place + num, end)
    examined = examining.examine(SMOOTH[:place] + bytes(until - place) + SMOOTH[until:], 112, add_up=True)
    assert isinstance(examined, images.Problem)
    assert str(examined) == "is damaged: it has zeros in place of data"


@pytest.mark.parametrize("value", [0, 128])
def test_zeros_are_data_where_they_end_blocks_as_in_tables_made_for_a_flat_picture(value: int) -> None:
    pixels = np.full((256, 256, 3), value, np.uint8)
    content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1].tobytes()
    begin, end = scan_of(content)
    assert bytes(32) in content[begin:end]
    assert isinstance(examining.examine(content, 112, add_up=True), examining.Examined)


@pytest.mark.parametrize(
    ("content", "after"),
    [
        (GREY, b""),
        (SMOOTH, b"appended"),
        (SMOOTH[:-2] + bytes(20) + SMOOTH[-2:], b"\xff\xd9"),
        (GREY[:-2] + b"123" + GREY[-2:], b"\0" * 99 + b"\xff\xd9\xff\xd9"),
    ],
)
def test_a_jpeg_that_is_whole_is_good_though_it_is_grey_or_has_more_data_than_it_needs(content: bytes, after: bytes) -> None:
    assert isinstance(examining.examine(content + after, 112, add_up=True), examining.Examined)


@given(st.integers(0, len(BIG) - 1))
def test_a_jpeg_cut_anywhere_is_noticed(length: int) -> None:
    with pytest.raises(images.Problem):
        images.header(BIG[:length])


@given(st.sampled_from([BIG, BIG[:2] + THUMBNAIL + BIG[2:], face(3, suffix=".png")]), st.data())
def test_a_damaged_image_is_a_problem_or_has_the_pixels_it_claims(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    places = st.one_of(st.integers(0, min(len(content), 200) - 1), st.integers(0, len(content) - 1))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(places)] = data.draw(st.integers(0, 255))
    examined = examining.examine(bytes(damaged), 16, add_up=True)
    if isinstance(examined, images.Problem):
        return
    assert examined.sums is not None
    values, squares = examined.sums
    assert (values >= 0).all() and (values <= 255 * 16 * 16).all()
    assert (values**2 <= squares * 16 * 16).all()


@given(st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xc0", images.PNG, images.PNG + b"\0\0\0\rIHDR"]), st.binary())
def test_bytes_that_only_begin_as_an_image_are_a_problem(start: bytes, rest: bytes) -> None:
    assert isinstance(examining.examine(start + rest, 16, add_up=True), images.Problem)


def test_a_jpeg_of_thousands_of_scans_is_refused_before_it_is_decoded() -> None:
    """Each goes over every pixel once more: 2,000 in 300 KB took 15 s at 8192 x 8192."""
    pixels = np.zeros((64, 64), np.uint8)
    progressive = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert images.header(progressive).width == 64
    place = progressive.rindex(b"\xff\xda")
    scan = progressive[place:-2]
    assert images.header(progressive[:-2] + scan * 50 + progressive[-2:]).width == 64
    with pytest.raises(images.Problem, match="has more than 100 scans"):
        images.header(progressive[:-2] + scan * 2000 + progressive[-2:])


# A CMYK JPEG of 8 x 8 pixels, which OpenCV cannot write.
CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwD/////////////////////////////////////////////////////////////////////////////////////"
    "/8AAFAgACAAIBEMRAE0RAFkRAEsRAP/EABUAAQEAAAAAAAAAAAAAAAAAAAID/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAA4EQwBNAFkASwAAPwCgmb"
    "//2Q=="
)


def test_what_has_to_be_converted_is_counted(write_zip: WriteZip, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    four, deep = random.integers(0, 256, (9, 9, 4), np.uint8), random.integers(0, 2**16, (9, 9), np.uint16)
    changes = {
        "test/cmyk.jpg": CMYK,
        "test/gray.jpg": cv2.imencode(".jpg", four[..., 0])[1].tobytes(),
        "test/alpha.png": cv2.imencode(".png", four)[1].tobytes(),
        "test/deep.png": cv2.imencode(".png", deep)[1].tobytes(),
        "train/Zoë/gray.png": cv2.imencode(".png", four[..., 1])[1].tobytes(),
    }
    stats = pack(write_zip("a.zip", FOLDERS | changes), tmp_path / "out")
    assert stats.converted == {"16 bit": 1, "alpha": 1, "cmyk": 1, "grayscale": 3}
    assert stats.rejected == []


def test_rejected_images_are_listed_in_the_same_order_every_time(write_zip: WriteZip, tmp_path: Path) -> None:
    # stats.json is an output that DVC compares by its bytes.
    bad = [f"{CLASSIFICATION}/dev/n000009/{name}" for name in TEST] + [f"{CLASSIFICATION}/train/1.jpg"]
    members = CLASSES | dict.fromkeys(bad, b"")
    first = pack(write_zip("a.zip", members), tmp_path / "first", on_bad="skip")
    second = pack(write_zip("a.zip", dict(reversed(members.items()))), tmp_path / "second", on_bad="skip")
    assert len(first.rejected) == 6
    assert first == second


# Images that have no place, or no counterpart.


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("train/1.jpg", "is not in <split>/<identity>/"),
        ("train/Zoë/2.heic", "is not an image (.jpg, .jpeg, .png)"),
        ("unknown_dev/more/1.jpg", "is not in <split>/<identity>/"),
        ("valid/Bob/1.jpg", "train has no images of Bob"),
    ],
)
def test_an_image_without_a_place_is_named_or_left_out_when_so_asked(
    member: str, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", FOLDERS | {member: face(0)})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {member}: {words}")
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip").rejected
    assert rejected.item == f"{path}: {member}"
    assert rejected.reason.startswith(words)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"train/": None}, "by split and identity, but train/<identity>/*.jpg is missing, and no person"),
        (
            {"unknown_test/1.jpg": face(0)},
            "fall 2022 to spring 2024, but known/ is missing, although there are images in unknown_test/",
        ),
        (
            {"known/a/1.jpg": face(0), "unknown_dev/1.jpg": face(0)},
            "but verification_dev.csv, which labels the images of unknown_dev, is missing",
        ),
        ({"train/Bob/readme.txt": b""}, "a.zip: train/Bob: holds no image"),
        ({"val/Zoë/a.jpg": face(0)}, "a.zip: val and "),
        ({"copy/train/Zoë/1.png": face(0)}, "a.zip: copy/train and "),
        ({"./train/Zoë/1.png": face(0)}, "a.zip: ./train/Zoë/1.png: is a duplicate"),
    ],
)
def test_folders_that_do_not_fit_together_are_named(
    changes: dict[str, bytes | None], words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    dropped = tuple(name for name, content in changes.items() if content is None)
    members = {name: content for name, content in FOLDERS.items() if not (dropped and name.startswith(dropped))}
    path = write_zip("raw/a.zip", members | {name: content for name, content in changes.items() if content is not None})
    for on_bad in ("error", "skip"):
        message = problem(path, tmp_path / "out", on_bad="skip" if on_bad == "skip" else "error")
        assert message.startswith(str(tmp_path / "raw"))
        assert words in message


def test_two_archives_that_hold_the_same_image_are_named(write_zip: WriteZip, tmp_path: Path) -> None:
    paths = [write_zip("raw/a.zip", FOLDERS), write_zip("raw/b.zip", FOLDERS)]
    assert problem(paths, tmp_path / "out") == f"{paths[1]}: {next(iter(FOLDERS))}: is a duplicate; remove one"


def test_a_split_may_lie_in_several_archives_below_one_path(write_zip: WriteZip, tmp_path: Path) -> None:
    """As Google Drive packs a large folder. The same comes out whatever lies where, even a person's images in two."""
    members = {f"faces/{name}": content for name, content in FOLDERS.items()}
    parts: list[dict[str, bytes]] = [{}, {}]
    for index, (name, content) in enumerate(sorted(members.items())):
        parts[index % 2][name] = content
    paths = [write_zip(f"raw/f-00{index}.zip", part) for index, part in enumerate(parts)]
    pack(write_zip("whole.zip", members), tmp_path / "whole")
    for index, order in enumerate((paths, paths[::-1])):
        pack(order, tmp_path / f"parts{index}")
        assert contents(tmp_path / f"parts{index}") == contents(tmp_path / "whole")


def test_parts_of_a_split_below_two_paths_are_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    others = {f"more/train/Bob/{index}.jpg": face(index) for index in range(2)}
    paths = [write_zip("raw/a.zip", FOLDERS), write_zip("raw/b.zip", others)]
    message = f"{paths[1]}: more/train and {paths[0]}: train both hold the train images; give one of them"
    assert problem(paths, tmp_path / "out") == message


def test_an_archive_of_something_else_is_named(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("raw/a.zip", {"readme.txt": b"hello"})
    assert problem(path, tmp_path / "out").startswith(
        f"{tmp_path / 'raw'}: found no image (.jpg, .jpeg, .png); the first file is"
    )


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (f"{CLASSIFICATION}/train/n000040", "there is no good training image of n000040"),
        (f"{CLASSIFICATION}/dev", "there is no good image for the dev split"),
        (f"{VERIFICATION}/known", "there is no good image for the known split"),
    ],
)
def test_what_is_needed_cannot_be_skipped(start: str, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    bad = {name: b"bad" for name in CLASSES | PAIRS if name.startswith(start)}
    message = problem(write_zip("raw/a.zip", CLASSES | PAIRS | bad), tmp_path / "out", on_bad="skip")
    assert message == f"{tmp_path / 'raw'}: {words}"


# Tables.


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("dev", table("id,label", [*"01234"], [*DEV_LABELS, "n000000"]), "has 5 rows below its header"),
        ("dev", table("id,label", [*"012"], DEV_LABELS[:3]), "has 3 rows below its header, but there are 4 images"),
        ("dev", table("id,label", [*"0132"], DEV_LABELS), "has the id '3' in the place of '2'"),
        ("dev", table("id,label", [*"0123"], [*DEV_LABELS[:3], "n000071"]), "line 5: 'n000071' is neither in known"),
        ("dev", table("name,label", [*"0123"], DEV_LABELS), "its first line must be id,label, but is 'name,label'"),
        ("dev", b"id,label\n0,n000070,1\n", "line 2: has 3 columns"),
        ("sample_submission", table("id,label", [*"012"], [""] * 3), "has 3 rows below its header, but there are 2 images"),
    ],
)  # fmt: skip
def test_a_bad_table_of_the_verification_is_named(
    name: str, content: bytes, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    member = f"{VERIFICATION}/verification_{name}.csv"
    path = write_zip("a.zip", CLASSES | PAIRS | {member: content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {member}: {words}")


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (sorted(TEST)[1:], "has 4 rows below its header, but there are 5 test images"),
        ([*sorted(TEST)[:4], "00005.jpg"], "has the id '00005.jpg' in the place of '00004.jpg'"),
    ],
)
def test_a_sample_submission_of_other_images_is_named(
    ids: list[str], words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    member = f"{CLASSIFICATION}/classification_sample_submission.csv"
    path = write_zip("a.zip", CLASSES | {member: table("id,label", ids, ["0"] * len(ids))})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {member}: {words}")


def test_a_table_that_is_there_twice_is_named(archives: list[Path], write_zip: WriteZip, tmp_path: Path) -> None:
    again = write_zip("raw/z.zip", {"verification_dev.csv": PAIRS[f"{VERIFICATION}/verification_dev.csv"]})
    message = problem([*archives, again], tmp_path / "out")
    assert message.startswith(f"{again}: verification_dev.csv: is a duplicate")


# What many images need.
