"""Every layout: its labels, order, pairs and submissions; and archives that are nearly one are refused in a sentence."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import understood
from stages.data.packed import read_texts
from stages.tasks.faces import submission
from stages.tasks.faces.statistics import Stats
from tests.tasks.faces.test_raw import face, pack, problem, read

WriteZip = Callable[[str, dict[str, bytes]], Path]
Files = dict[str, bytes]


def lines(*rows: str) -> bytes:
    return "".join(f"{row}\n" for row in rows).encode()


def images(names: list[str], seed: int = 0) -> Files:
    return {name: face(seed + index) for index, name in enumerate(names)}


# Fall 2024 to spring 2026.

FACES = ["zQ.jpg", "a1.jpg", "7x.jpg", "B0.jpg"]
VAL_PAIRS, TEST_PAIRS = (
    lines("zQ.jpg a1.jpg 1", "7x.jpg zQ.jpg 0", "B0.jpg 7x.jpg 1"),
    lines("B0.jpg a1.jpg", "a1.jpg zQ.jpg"),
)
VERIFICATION: Files = {
    **images([f"top/ver_data/{name}" for name in FACES], 900),
    "top/val_pairs.txt": VAL_PAIRS,
    "top/test_pairs.txt": TEST_PAIRS,
}
FALL_2024: Files = {
    **images(
        [f"top/cls_data/{split}/n00000{who}/{shot}.jpg" for split in ("train", "dev") for who in (9, 2) for shot in "01"]
    ),
    **VERIFICATION,
}


def labelled(split: str, names: dict[str, int], seed: int) -> Files:
    """A split with labels.txt, whose lines have an order of their own."""
    folder = f"top/cls_data/{split}"
    table = lines(*[f"{name} {label}" for name, label in reversed(names.items())])
    return {**images([f"{folder}/images/{name}" for name in names], seed), f"{folder}/labels.txt": table}


TRAIN = {"t0.jpg": 0, "t1.jpg": 10, "t2.jpg": 2, "t3.jpg": 10}
DEV = {"d0.jpg": 2, "d1.jpg": 10}
SPRING_2025: Files = {
    **labelled("train", TRAIN, 0),
    **labelled("dev", DEV, 50),
    **images([f"top/cls_data/test/images/x{index}.jpg" for index in (10, 2)], 70),
    **VERIFICATION,
}
NESTED: Files = {
    **labelled("train", {"ann/0.jpg": 0, "bob/0.jpg": 1, "bob/1 b.jpg": 1}, 0),
    **labelled("val", {"ann/7.jpg": 0, "bob/8.jpg": 1}, 50),
    **VERIFICATION,
}

# Fall 2020 to fall 2021.

NUMBERS = ["0", "1", "2", "10", "11"]  # 0 1 10 11 2 in the alphabet
TO_VERIFY = [f"verification_data/{index:08d}.jpg" for index in range(4)]
TRIALS: Files = {
    **images([f"classification_data/train_data/{who}/{shot}.jpg" for who in NUMBERS for shot in "ab"]),
    **images([f"classification_data/val_data/{who}/c.jpg" for who in NUMBERS], 50),
    **images([f"classification_data/test_data/{index}.jpg" for index in (0, 1, 2, 10)], 70),
    **images(TO_VERIFY, 900),
    "classification_test.txt": lines("10.jpg", "1.jpg", "0.jpg", "2.jpg"),
    "verification_pairs_val.txt": lines(f"{TO_VERIFY[0]} {TO_VERIFY[1]} 1", f"{TO_VERIFY[2]} {TO_VERIFY[1]} 0"),
    "verification_pairs_test.txt": lines(f"{TO_VERIFY[3]} {TO_VERIFY[0]}", f"{TO_VERIFY[2]} {TO_VERIFY[3]}"),
}

# Spring and fall 2022.

PEOPLE = ["n000040", "n000002"]
CLASSIFICATION_2022: Files = {
    **images([f"classification/classification/train/{who}/{shot}.jpg" for who in PEOPLE for shot in "ab"]),
    **images([f"train_subset/train_subset/{who}/a.jpg" for who in PEOPLE]),
    **images([f"classification/classification/dev/{who}/c.jpg" for who in PEOPLE], 50),
    **images([f"classification/classification/test/{index:06d}.jpg" for index in range(3)], 70),
}
SPRING_2022: Files = {
    **CLASSIFICATION_2022,
    **images([f"verification/verification/{split}/{index:06d}.jpg" for split in ("dev", "test") for index in range(3)], 900),
    "verification/verification/verification_dev.csv": lines(
        "who,knows,this", "000000.jpg,000002.jpg,1", "000001.jpg,000000.jpg,0"
    ),
    "verification/verification/verification_test.csv": lines("who,knows", "000002.jpg,000001.jpg", "000000.jpg,000002.jpg"),
}
FALL_2022: Files = {
    **{name.replace("classification/", "top/", 1): content for name, content in CLASSIFICATION_2022.items()},
    **images([f"verification/known/n00050{index}/0.jpg" for index in (1, 0)], 500),
    **images([f"verification/unknown_{split}/{index:06d}.jpg" for split in ("dev", "test") for index in range(3)], 900),
    "verification/dev_identities.csv": lines("id,label", "0,n000501", "1,n000500", "2,n000501"),
}  # fmt: skip

# Folders for each person.

PERSONS: Files = images(
    [f"mine/{who}/{shot}.jpg" for who, num in (("Zoë", 5), ("ann lee", 2), ("Bo", 1)) for shot in range(num)]
)
LFW: Files = {
    **images([f"lfw/{who}/{who}_{shot:04d}.jpg" for who in ("Ann_B", "Cy_D") for shot in range(1, 6)]),
    "pairs.txt": lines("1\t2", "Ann_B\t1\t2", "Cy_D\t2\t1", "Ann_B\t1\tCy_D\t3", "Cy_D\t1\tAnn_B\t2"),
}

EVERY = {
    "fall 2024": FALL_2024,
    "spring 2025": SPRING_2025,
    "nested": NESTED,
    "trials": TRIALS,
    "spring 2022": SPRING_2022,
    "fall 2022": FALL_2022,
    "persons": PERSONS,
    "LFW": LFW,
}


def labels(out: Path, split: str) -> dict[str, int]:
    """By name, in the split's order."""
    return {name: label for name, label, _ in read(out, split)}


def pairs(out: Path, split: str) -> list[tuple[str, str, list[int]]]:
    names = read_texts(out / "verification" / "names")
    found = np.load(out / f"pairs_{split}.npy")
    assert found.dtype == np.int64
    return [(names[left], names[right], same) for left, right, *same in found.tolist()]


def submitted(out: Path, stats: Stats, folder: Path) -> dict[str, list[str]]:
    """The lines of the submissions of predictions that are all the last class, the last known one, and 0.5."""
    folder.mkdir()
    if (out / "test").exists():
        rows = [f"{name},{stats.classes[-1]},0.9" for name in read_texts(out / "test" / "names")]
        (folder / "test.csv").write_bytes(lines("name,predicted,probability", *rows))
    if (out / "pairs_test.npy").exists():
        rows = [f"{name},{other},0.500000" for name, other, _ in pairs(out, "test")]
        (folder / "verification_test.csv").write_bytes(lines("name,other,score", *rows))
    elif (out / "unknown_test").exists():
        rows = [f"{name},x,0.5,{stats.known[-1]}" for name in read_texts(out / "unknown_test" / "names")]
        (folder / "verification_test.csv").write_bytes(lines("name,best,score,predicted", *rows))
    files = submission.write(folder, out, folder)
    return {file.stem: file.read_text().splitlines() for file in files}


@pytest.mark.parametrize(
    ("files", "classes", "train", "dev"),
    [
        pytest.param(
            FALL_2024,
            ["n000002", "n000009"],
            {"n000002/0.jpg": 0, "n000002/1.jpg": 0, "n000009/0.jpg": 1, "n000009/1.jpg": 1},
            {"n000002/0.jpg": 0, "n000002/1.jpg": 0, "n000009/0.jpg": 1, "n000009/1.jpg": 1},
            id="fall 2024",
        ),
        pytest.param(
            SPRING_2025,
            ["0", "2", "10"],
            {"t0.jpg": 0, "t1.jpg": 2, "t2.jpg": 1, "t3.jpg": 2},
            {"d0.jpg": 1, "d1.jpg": 2},
            id="spring 2025",
        ),
        pytest.param(
            NESTED,
            ["0", "1"],
            {"ann/0.jpg": 0, "bob/0.jpg": 1, "bob/1 b.jpg": 1},
            {"ann/7.jpg": 0, "bob/8.jpg": 1},
            id="nested",
        ),
        pytest.param(
            TRIALS,
            NUMBERS,
            {f"{who}/{shot}.jpg": NUMBERS.index(who) for who in sorted(NUMBERS) for shot in "ab"},
            {f"{who}/c.jpg": NUMBERS.index(who) for who in sorted(NUMBERS)},
            id="trials",
        ),
        pytest.param(
            SPRING_2022,
            ["n000002", "n000040"],
            {"n000002/a.jpg": 0, "n000002/b.jpg": 0, "n000040/a.jpg": 1, "n000040/b.jpg": 1},
            {"n000002/c.jpg": 0, "n000040/c.jpg": 1},
            id="spring 2022",
        ),
        pytest.param(
            FALL_2022,
            ["n000002", "n000040"],
            {"n000002/a.jpg": 0, "n000002/b.jpg": 0, "n000040/a.jpg": 1, "n000040/b.jpg": 1},
            {"n000002/c.jpg": 0, "n000040/c.jpg": 1},
            id="fall 2022",
        ),
    ],
)
def test_images_have_the_labels_and_the_order_of_their_layout(
    files: Files,
    classes: list[str],
    train: dict[str, int],
    dev: dict[str, int],
    write_zip: WriteZip,
    tmp_path: Path,
) -> None:
    of_part: list[Files] = [{}, {}, {}]
    for index, (name, content) in enumerate(files.items()):
        of_part[index % 3][name] = content
    out = tmp_path / "out"
    stats = pack([write_zip(f"{index}.zip", part) for index, part in enumerate(of_part)], out)
    assert stats.classes == classes
    for split, expected in (("train", train), ("dev", dev)):
        assert list(labels(out, split).items()) == list(expected.items())
        for name, _, content in read(out, split):
            assert content in [file for path, file in files.items() if path.endswith(f"/{name}")]


@pytest.mark.parametrize(
    ("files", "dev", "test", "expected"),
    [
        pytest.param(
            FALL_2024,
            [("zQ.jpg", "a1.jpg", [1]), ("7x.jpg", "zQ.jpg", [0]), ("B0.jpg", "7x.jpg", [1])],
            [("B0.jpg", "a1.jpg", []), ("a1.jpg", "zQ.jpg", [])],
            {"verification": ["ID,Label", "0,0.500000", "1,0.500000"]},
            id="fall 2024",
        ),
        pytest.param(
            TRIALS,
            [(TO_VERIFY[0], TO_VERIFY[1], [1]), (TO_VERIFY[2], TO_VERIFY[1], [0])],
            [(TO_VERIFY[3], TO_VERIFY[0], []), (TO_VERIFY[2], TO_VERIFY[3], [])],
            {
                "classification": ["id,label", "10.jpg,11", "1.jpg,11", "0.jpg,11", "2.jpg,11"],
                "verification": [
                    "Id,Category",
                    f"{TO_VERIFY[3]} {TO_VERIFY[0]},0.500000",
                    f"{TO_VERIFY[2]} {TO_VERIFY[3]},0.500000",
                ],
            },
            id="trials",
        ),
        pytest.param(
            SPRING_2022,
            [("dev/000000.jpg", "dev/000002.jpg", [1]), ("dev/000001.jpg", "dev/000000.jpg", [0])],
            [("test/000002.jpg", "test/000001.jpg", []), ("test/000000.jpg", "test/000002.jpg", [])],
            {
                "classification": ["id,label", "000000.jpg,1", "000001.jpg,1", "000002.jpg,1"],
                "verification": ["id,match", "0,0.500000", "1,0.500000"],
            },
            id="spring 2022",
        ),
    ],
)
def test_pairs_are_those_of_their_table_and_submissions_have_its_order(
    files: Files,
    dev: list[tuple[str, str, list[int]]],
    test: list[tuple[str, str, list[int]]],
    expected: dict[str, list[str]],
    write_zip: WriteZip,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    stats = pack(write_zip("a.zip", files), out)
    assert stats.verification == {"kind": "pairs", "dev": len(dev), "test": len(test)}
    assert pairs(out, "dev") == dev and pairs(out, "test") == test
    for name, _, content in read(out, "verification"):
        assert [content] == [file for path, file in files.items() if re.search(rf"(^|ver.*/){name}$", path)]
    assert submitted(out, stats, tmp_path / "predictions") == expected


@pytest.mark.parametrize("name", ["verification_sample_submission.csv", "top/sample_submission.csv"])
def test_a_sample_submission_gives_header_and_order(name: str, write_zip: WriteZip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stats = pack(write_zip("a.zip", FALL_2024 | {name: lines("Id,Category", "1,0", "0,0")}), out)
    assert understood.lines(stats.understood)[-1] == "submission: verification.csv (Id,Category)"
    found = submitted(out, stats, tmp_path / "predictions")
    assert found == {"verification": ["Id,Category", "1,0.500000", "0,0.500000"]}
    message = problem(write_zip("b.zip", FALL_2024 | {name: lines("Id,Category", "1,0")}), tmp_path / "b")
    assert message.endswith("has 1 rows below its header, but there are 2 test pairs")


def test_in_fall_2022_everybody_is_known(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", FALL_2022), tmp_path / "out")
    assert stats.known == ["n000500", "n000501"]
    assert list(labels(tmp_path / "out", "unknown_dev").values()) == [1, 0, 1]
    assert stats.understood.verification == "2 known identities"
    found = submitted(tmp_path / "out", stats, tmp_path / "predictions")
    assert found["verification"] == ["id,label", *(f"{row},n000501" for row in range(3))]
    assert found["classification"][1] == "000000.jpg,1"


def test_a_test_without_labels_is_in_the_order_of_its_names(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", SPRING_2025), tmp_path / "out")
    assert labels(tmp_path / "out", "test") == {"x10.jpg": -1, "x2.jpg": -1}
    assert stats.submissions.keys() == {"verification"}


@pytest.mark.parametrize(
    ("kind", "layout", "rest"),
    [
        (
            "trials",
            "HW2P2 with trials, fall 2020 to fall 2021",
            [
                "classes: 5 identities, 0 to 11",
                "items: 10 train, 5 dev, 4 test, 4 verification",
                "verification: 2 dev pairs, 2 test pairs",
                "submission: classification.csv (id,label), verification.csv (Id,Category)",
            ],
        ),
        (
            "LFW",
            "a folder for each person; 0.1 of each person's images, at least one, held out as dev; "
            "the images of pairs.txt are in neither train nor dev",
            [
                "classes: 2 identities, Ann_B to Cy_D",
                "items: 3 train, 2 dev, 5 verification",
                "verification: 4 dev pairs",
                "submission: none, as there are no test items",
            ],
        ),
    ],
)
def test_what_was_understood_is_told(kind: str, layout: str, rest: list[str], write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", EVERY[kind]), tmp_path / "out")
    assert understood.lines(stats.understood) == [f"layout: {layout}", *rest]


@pytest.mark.parametrize("kind", EVERY)
def test_a_csv_list_and_a_top_folder_more_or_less_change_nothing(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    """Besides what stats.json says of where the files are."""
    files = EVERY[kind]
    without = {name.removeprefix("top/"): content for name, content in files.items()}
    with_more = {f"some/where/{name}": content for name, content in files.items()}
    with_csv = {}
    for name, content in files.items():
        if name.endswith(("val_pairs.txt", "test_pairs.txt")):
            header = b"one,other,same\n" if "val" in name else b"one,other\n"
            with_csv[name.replace(".txt", ".csv")] = header + content.replace(b" ", b",")
        else:
            with_csv[name] = content
    for index, form in enumerate((files, without, with_more, with_csv)):
        pack(write_zip(f"{index}.zip", form), tmp_path / str(index))
    everything = [
        {path.relative_to(tmp_path / str(index)): path.read_bytes() for path in (tmp_path / str(index)).rglob("*.*")}
        for index in range(4)
    ]
    for other in everything[1:]:
        assert other == everything[0]


# A folder for each person.


def test_a_share_of_each_person_is_dev_and_of_one_image_none(write_zip: WriteZip, tmp_path: Path) -> None:
    files = images(
        [f"{who}/{shot:02d}.jpg" for who, num in (("a", 40), ("b", 4), ("c", 2), ("d", 1)) for shot in range(num)]
    )
    pack(write_zip("a.zip", files), tmp_path / "out")
    for split, counts in (("train", [36, 3, 1, 1]), ("dev", [4, 1, 1])):
        assert np.bincount(list(labels(tmp_path / "out", split).values())).tolist() == counts
    assert labels(tmp_path / "out", "train").keys() | labels(tmp_path / "out", "dev").keys() == files.keys()


def test_each_image_of_a_person_is_in_one_fold_and_a_single_one_in_none(write_zip: WriteZip, tmp_path: Path) -> None:
    path, dev = write_zip("a.zip", PERSONS), list[str]()
    for number in range(2):
        stats = pack(path, tmp_path / str(number), fold=Fold(2, number))
        assert stats.understood.layout == f"a folder for each person; fold {number} of 2 held out as dev"
        dev += labels(tmp_path / str(number), "dev")
    every = {name.removeprefix("mine/") for name in PERSONS}
    assert sorted(dev) == sorted(every - {"Bo/0.jpg"})


@pytest.mark.parametrize("kind", ["spring 2025", "trials"])
def test_a_fold_in_place_of_a_layouts_dev_split_is_refused(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"raw: has a dev split of its own, .*; leave `fold` empty$"):
        pack(write_zip("raw/a.zip", EVERY[kind]), tmp_path / "out", fold=Fold(2, 0))


def test_another_person_changes_nobody_elses_share(write_zip: WriteZip, tmp_path: Path) -> None:
    files = images([f"{who}/{shot}.jpg" for who in "bc" for shot in range(9)])
    pack(write_zip("a.zip", files), tmp_path / "a")
    pack(write_zip("b.zip", files | images([f"a/{shot}.jpg" for shot in range(9)])), tmp_path / "b")
    assert labels(tmp_path / "a", "dev").keys() < labels(tmp_path / "b", "dev").keys()


def test_a_folder_test_beside_the_persons_is_the_test(write_zip: WriteZip, tmp_path: Path) -> None:
    files = PERSONS | images(["mine/test/1.jpg", "mine/test/more/2.jpg"])
    stats = pack(write_zip("a.zip", files), tmp_path / "out")
    assert labels(tmp_path / "out", "test") == {"1.jpg": -1, "more/2.jpg": -1}
    assert submitted(tmp_path / "out", stats, tmp_path / "predictions")["classification"][1] == "1.jpg,2"


@pytest.mark.parametrize("kind", ["split", "persons", "fall 2024", "trials"])
def test_a_split_may_have_capitals(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    splits = folders(train="ab", val="ab") | images(["test/1.jpg"])
    files = {**EVERY, "split": splits, "persons": PERSONS | images(["mine/test/1.jpg"])}[kind]
    folder = re.compile(r"(train|dev|val|test)(_data)?/")
    capitals = {folder.sub(lambda found: found[0].capitalize(), name): content for name, content in files.items()}
    stats = pack(write_zip("a.zip", files), tmp_path / "a")
    assert pack(write_zip("b.zip", capitals), tmp_path / "b") == stats
    for split in ("train", "dev", "test"):
        if stats.num[split]:
            assert read(tmp_path / "a", split) == read(tmp_path / "b", split)


def test_no_image_of_lfws_pairs_trains_or_is_in_dev(write_zip: WriteZip, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(write_zip("a.zip", LFW), out)
    named = {f"Ann_B/Ann_B_000{shot}.jpg" for shot in (1, 2)} | {f"Cy_D/Cy_D_000{shot}.jpg" for shot in (1, 2, 3)}
    assert labels(out, "verification").keys() == named
    assert not named & (labels(out, "train").keys() | labels(out, "dev").keys())
    stems = [("Ann_B", 1, "Ann_B", 2, 1), ("Cy_D", 2, "Cy_D", 1, 1), ("Ann_B", 1, "Cy_D", 3, 0), ("Cy_D", 1, "Ann_B", 2, 0)]
    assert pairs(out, "dev") == [(f"{a}/{a}_000{m}.jpg", f"{b}/{b}_000{n}.jpg", [same]) for a, m, b, n, same in stems]


# What is nearly a layout.


def without(files: Files, *starts: str) -> Files:
    return {name: content for name, content in files.items() if not any(start in name for start in starts)}


def changed(files: Files, name: str, content: bytes) -> Files:
    [found] = [path for path in files if path.endswith(name)]
    return files | {found: content}


def folders(**identities: str | list[str]) -> Files:
    """Two images of each identity of each split."""
    return images([f"{split}/{who}/{shot}.jpg" for split, people in identities.items() for who in people for shot in "01"])


LOOKS_2024 = "this looks like HW2P2 with pairs of faces, fall 2024 to spring 2026, but "
LOOKS_2021 = "this looks like HW2P2 with trials, fall 2020 to fall 2021, but "


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (without(TRIALS, "val_data"), f"{LOOKS_2021}val_data/<identity>/*.jpg is missing (in a.zip)"),
        (without(TRIALS, "pairs_val"), f"{LOOKS_2021}verification_pairs_val.txt is missing"),
        (changed(TRIALS, "classification_test.txt", lines("1.jpg", "2.jpg")), "lists 2 images, and test_data has 4"),
        (TRIALS | images(["classification_data/test_data/more/1.jpg"]), "another test image has the same name"),
        (changed(TRIALS, "pairs_test.txt", lines("a.jpg b.jpg")), "line 1: names a.jpg, which is missing, but a"),
        (without(SPRING_2025, "cls_data/dev"), f"{LOOKS_2024}cls_data/dev/ (or val/) is missing"),
        (without(SPRING_2025, "val_pairs"), f"{LOOKS_2024}val_pairs.txt is missing"),
        (without(SPRING_2025, "train/labels.txt"), f"{LOOKS_2024}cls_data/train/labels.txt is missing"),
        (changed(SPRING_2025, "dev/labels.txt", lines("d0.jpg 3", "d1.jpg 4")), "train and dev have no label in common"),
        (changed(SPRING_2025, "dev/labels.txt", lines("t0.jpg 0")), "dev/labels.txt: names no image in dev/images/"),
        (changed(NESTED, "val/labels.txt", lines("ann/7.jpg 1", "bob/8.jpg 0")), "has the label 1, but another image"),
        (changed(SPRING_2025, "val_pairs.txt", lines("zQ.jpg a1.jpg 1")), "has only one kind of pairs"),
        (changed(SPRING_2025, "test_pairs.txt", b""), "test_pairs.txt: lists no pair"),
        (SPRING_2025 | images(["top/other/1.jpg"]), "top/other/1.jpg: is neither in cls_data/"),
        (SPRING_2025 | images(["top/cls_data/train/1.jpg"]), "train/1.jpg: is beside labels.txt; move it into images/"),
        (SPRING_2022 | TRIALS, "holds two layouts, HW2P2, spring 2022 (classification/classification/train/n000"),
        (without(SPRING_2022, "verification_dev"), "HW2P2, spring 2022, but verification_dev.csv is missing"),
        (without(FALL_2022, "dev_identities"), "but verification_dev.csv, which labels the images"),
        (changed(FALL_2022, "dev_identities.csv", lines("id,label", "0,n000500")), "has 1 rows below its header"),
        (folders(train="ab", test="cd"), "looks like VGGFace2"),
        (folders(train="ab"), "without one, give the folder train"),
        (folders(train="ab", dev="cd"), "no identity in common"),
        (images([f"{s}/{n}.jpg" for s in ("train", "dev") for n in "01"]), "but train/<identity>/*.jpg is missing"),
        (PERSONS | images([f"mine/Dev/{n}.jpg" for n in "01"]), "no person's folder may be called train, dev, val or valid"),
        (images([f"images/{n}.jpg" for n in "0123"]), "a folder images is in the place of an identity"),
        (PERSONS | images(["mine/1.jpg"]), "both hold the train images"),
        (images([f"{who}/1.jpg" for who in "abc"]), "nobody has two images"),
        (PERSONS | {"mine/Carol/1.heic": b""}, "mine/Carol: holds no image (.jpg, .jpeg, .png); remove"),
        (PERSONS | {"mine/test/1.webp": b""}, "mine/test/1.webp: is not an image (.jpg, .jpeg, .png), and a submission"),
        (folders(train="ab", dev="ab") | {"test/1.webp": b""}, "test/1.webp: is not an image"),
        (LFW | {"pairs.txt": b"10\t300\n" + LFW["pairs.txt"][4:]}, "has 4 pairs, but its first line says 6,000"),
        (LFW | {"pairs.txt": LFW["pairs.txt"].replace(b"\t3", b"\t9")}, "line 4: names Cy_D/Cy_D_0009.jpg, which is"),
        ({"train.rec": b"x", "property": b"x"}, "train.rec is a record file of insightface"),
    ],
)  # fmt: skip
def test_what_is_nearly_a_layout_is_refused_in_a_sentence(
    files: Files, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("raw/a.zip", files)
    message = problem(path, tmp_path / "out")
    assert message.startswith(str(tmp_path / "raw")) and words in message
    assert "\n" not in message and "on_bad" not in message
    assert problem(path, tmp_path / "skipping", on_bad="skip") == message


@pytest.mark.parametrize(
    ("files", "item", "reason"),
    [
        (changed(SPRING_2025, "train/labels.txt", lines("t0.jpg 0", "t1.jpg 10", "t2.jpg 2")), "t3.jpg", "no line in"),
        (changed(SPRING_2025, "dev/labels.txt", lines("d0.jpg 2", "d1.jpg 10", "d2.jpg 0")), "txt: d2.jpg", "missing"),
        (changed(SPRING_2025, "val_pairs.txt", VAL_PAIRS + lines("zQ.jpg q.jpg 0")), "val_pairs.txt: line 4", "names q.jpg"),
        (TRIALS | images(["classification_data/train_data/1.jpg"]), "train_data/1.jpg", "is not in train_data/"),
        (PERSONS | {"mine/ann lee/2.webp": b""}, "ann lee/2.webp", "is not an image (.jpg, .jpeg, .png)"),
    ],
)  # fmt: skip
def test_an_item_without_its_counterpart_is_named_or_left_out_when_so_asked(
    files: Files, item: str, reason: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", files)
    assert problem(path, tmp_path / "out").endswith("`on_bad: skip` leaves such items out")
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip").rejected
    assert item in rejected.item and reason in rejected.reason


@pytest.mark.parametrize(
    ("kind", "name"),
    [("trials", "test_data/10.jpg"), ("spring 2022", "classification/test/000001.jpg"), ("fall 2022", "test/000001.jpg")],
)
def test_a_bad_test_image_cannot_be_left_out(kind: str, name: str, write_zip: WriteZip, tmp_path: Path) -> None:
    [member] = [path for path in EVERY[kind] if path.endswith(name) and "verification" not in path]
    for index, files in enumerate((EVERY[kind] | {member: b"bad"}, PERSONS | {"mine/test/1.jpg": b"bad"})):
        message = problem(write_zip(f"{index}.zip", files), tmp_path / "out", on_bad="skip")
        assert message.endswith(": is not a readable image; a submission has a row for it, so it cannot be left out")


def test_a_bad_image_of_dev_pairs_takes_its_pairs_along_and_one_of_a_test_cannot_be_left_out(
    write_zip: WriteZip, tmp_path: Path
) -> None:
    only_dev = FALL_2024 | {"top/ver_data/dev.jpg": b"bad", "top/val_pairs.txt": VAL_PAIRS + lines("dev.jpg zQ.jpg 0")}
    stats = pack(write_zip("a.zip", only_dev), tmp_path / "out", on_bad="skip")
    assert stats.verification == {"kind": "pairs", "dev": 3, "test": 2}
    assert [name for name, *_ in pairs(tmp_path / "out", "dev")] == ["zQ.jpg", "7x.jpg", "B0.jpg"]
    message = problem(write_zip("b.zip", changed(FALL_2024, "ver_data/B0.jpg", b"bad")), tmp_path / "b", on_bad="skip")
    assert message.endswith("B0.jpg: is not a readable image; a submission has a row for it, so it cannot be left out")
