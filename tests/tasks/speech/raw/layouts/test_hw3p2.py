"""HW3P2 from 2022 on: every frame and phoneme arrives, in the term's order, and every bad utterance is named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.config.schema import Fold
from stages.data.understood import lines
from tests.tasks.speech.raw.packing import WriteZip, naive_normalize, npy, pack, problem, read

RANDOM = np.random.default_rng(0)
FRAMES = {
    f"{split}/{name}": RANDOM.normal(3, 7, (length, 5)).astype(np.float32)
    for split, name, length in (
        ("train-clean-100", "b", 30),
        ("train-clean-100", "a", 21),
        ("train-clean-360", "c", 1),
        ("dev-clean", "a", 12),
        ("test-clean", "z", 9),
        ("test-clean", "x", 14),
        ("test-clean", "y", 8),
    )
}
SPOKEN = {"b": ["[SIL]", "HH", "AY", "[SIL]"], "a": ["AH", "AH"], "c": ["ZH"]}
TOP = "11-785-s23-hw3p2"


def member(utterance: str, kind: str) -> str:
    split, name = utterance.split("/")
    return f"{TOP}/{split}/{kind}/{name}.npy"


SPRING_2023 = {
    **{member(utterance, "mfcc"): npy(frames) for utterance, frames in FRAMES.items()},
    **{
        member(utterance, "transcript"): npy(["[SOS]", *SPOKEN[utterance[-1]], "[EOS]"])
        for utterance in FRAMES
        if "test" not in utterance
    },
    f"{TOP}/test-clean/transcript/random_submission.csv": b"index,label\n0,a\n1,b\n2,c\n",
}


def term_2022(name: str) -> str:
    return name.replace("-clean-100", "").replace("-clean-360", "").replace("-clean", "")


SPRING_2022 = {
    **{term_2022(name): content for name, content in SPRING_2023.items() if "/mfcc/" in name},
    **{
        term_2022(member(utterance, "transcript")): npy(
            ["<sos>", *[symbol.strip("[]") for symbol in SPOKEN[utterance[-1]]], "<eos>"]
        )
        for utterance in FRAMES
        if "test" not in utterance
    },
    f"{TOP}/test/test_order.csv": b"file\ny.npy\nz.npy\nx.npy\n",
    f"{TOP}/sample_submission.csv": b"id,predictions\n0,a\n1,b\n2,c\n",
}
FALL_2022 = {
    name.replace("/transcript/", "/transcript/raw/") if name.endswith(".npy") else name: content
    for name, content in SPRING_2023.items()
}
TRAIN_B, DEV_A = member("train-clean-100/b", "mfcc"), member("dev-clean/a", "mfcc")


@pytest.mark.parametrize(
    ("members", "characters", "order"),
    [(SPRING_2023, "2023", "xyz"), (FALL_2022, "2023", "xyz"), (SPRING_2022, "2022", "yzx")],
    ids=["spring 2023", "fall 2022", "spring 2022"],
)
def test_every_frame_and_phoneme_arrives(
    members: dict[str, bytes], characters: str, order: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    for split, names in (("train", ["b", "a", "c"]), ("dev", ["a"]), ("test", list(order))):
        found = read(tmp_path / "out", split)
        assert list(found) == names
        for name, (frames, symbols) in found.items():
            [original] = [value for key, value in FRAMES.items() if key.startswith(split) and key.endswith(f"/{name}")]
            assert frames.dtype == np.float32
            np.testing.assert_allclose(frames, naive_normalize(original), atol=1e-5)
            assert symbols == ([] if split == "test" else SPOKEN[name])
    assert not (tmp_path / "out" / "test" / "transcript.npy").exists()
    assert not list(tmp_path.rglob("audio*"))
    assert stats.submission.characters == characters and stats.submission.left_out == []
    assert (stats.num_features, stats.rejected, stats.converted) == (5, [], {})
    assert stats.num == {"train": 3, "dev": 1, "test": 3}
    assert stats.frames["train"] == {"total": 52, "longest": 30}
    assert stats.frames["test"] == {"total": 31, "longest": 14}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev",
        "sample_submission.csv",
        "stats.json",
        "test",
        "train",
    ]


@pytest.mark.parametrize("symbols", [["[SOS]", "HH", "AY1", "[EOS]"], ["HH", "AY"], [b"<sos>", b"HH", b"AY0", b"<eos>"]])
def test_a_transcript_may_be_bytes_bear_stress_or_lack_its_marks(
    symbols: list[Any], write_zip: WriteZip, tmp_path: Path
) -> None:
    pack(write_zip("a.zip", SPRING_2023 | {member("dev-clean/a", "transcript"): npy(symbols)}), tmp_path / "out")
    assert read(tmp_path / "out", "dev")["a"][1] == ["HH", "AY"]


@pytest.mark.parametrize("dtype", [np.float16, np.int16])
def test_frames_may_be_any_real_numbers(dtype: Any, write_zip: WriteZip, tmp_path: Path) -> None:
    frames = (10 * FRAMES["dev-clean/a"]).astype(dtype)
    pack(write_zip("a.zip", SPRING_2023 | {DEV_A: npy(frames)}), tmp_path / "out")
    np.testing.assert_allclose(read(tmp_path / "out", "dev")["a"][0], naive_normalize(frames), atol=1e-5)


def with_bad_frame(value: float) -> np.ndarray:
    frames = FRAMES["train-clean-100/b"].copy()
    frames[4, 2] = value
    return frames


BAD_FRAMES = {
    "not a number": (npy(with_bad_frame(np.nan)), "frame 4 is not finite"),
    "infinite": (npy(with_bad_frame(-np.inf)), "frame 4 is not finite"),
    "too large for 32 bits": (npy(np.array([[1e308] * 5, [-1e308] * 5])), "frame 0 is not finite"),
    "no frames": (npy(np.zeros((0, 5))), "must be numbers, frames x coefficients, but has shape (0, 5)"),
    "no coefficients": (npy(np.zeros((5, 0))), "must be numbers, frames x coefficients"),
    "texts": (npy([["a", "b"]]), "must be numbers"),
    "pickled": (npy(np.array([[None] * 5] * 3)), "is not a readable .npy file (Object arrays cannot be loaded"),
    "cut short": (npy(FRAMES["train-clean-100/b"])[:-1], "is not a readable .npy file"),
    "an .npz": (b"PK\x05\x06" + bytes(18), "is not"),
}


@pytest.mark.parametrize(
    ("kind", "name"), [*((kind, TRAIN_B) for kind in BAD_FRAMES), ("infinite", member("test-clean/y", "mfcc"))]
)
def test_bad_frames_are_named_or_left_out_when_so_asked(kind: str, name: str, write_zip: WriteZip, tmp_path: Path) -> None:
    content, words = BAD_FRAMES[kind]
    path = write_zip("a.zip", SPRING_2023 | {name: content})
    message = problem(path, tmp_path / "out")
    assert message.startswith(f"{path}: {name}: {words}")
    assert message.endswith("`on_bad: skip` leaves such items out")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    [rejected] = stats.rejected
    assert rejected.item == f"{path}: {name}"
    assert rejected.reason.startswith(words)
    assert sum(stats.num.values()) == 6


BAD_TRANSCRIPTS = {
    "an unknown phoneme": (npy(["[SOS]", "HH", "QQ", "[EOS]"]), "holds 'QQ', which is not one of the phonemes"),
    "the blank": (npy(["[SOS]", "", "HH", "[EOS]"]), "holds '', which is not one of the phonemes"),
    "nothing said": (npy(["[SOS]", "[EOS]"]), "holds no phoneme"),
    "no letters": (npy(["", ""])[:-8].replace(b"<U1", b"<U0"), "must be a row of strings"),
    "numbers": (npy([1, 2]), "must be a row of strings"),
    "pickled": (npy(np.array(["HH", None])), "is not a readable .npy file (Object arrays cannot be loaded"),
    "no text": (npy([b"\xff"]), "holds bytes that are not text"),
    "beyond Unicode": (npy(["A"]).replace(b"A\0\0\0", b"\xff" * 4), "holds bytes that are not text"),
}


@pytest.mark.parametrize("kind", BAD_TRANSCRIPTS)
def test_a_bad_transcript_is_named_or_left_out_when_so_asked(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    content, words = BAD_TRANSCRIPTS[kind]
    name = member("train-clean-100/b", "transcript")
    path = write_zip("a.zip", SPRING_2023 | {name: content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {name}: {words}")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    assert [rejected.item for rejected in stats.rejected] == [f"{path}: {name}"]
    assert list(read(tmp_path / "skipped", "train")) == ["a", "c"]


ALSO_B = member("train-clean-360/b", "mfcc")


@pytest.mark.parametrize(
    ("layout", "changes", "named", "words"),
    [
        (
            SPRING_2023,
            {member("train-clean-100/a", "transcript"): None},
            member("train-clean-100/a", "mfcc"),
            "has no transcript",
        ),
        (
            SPRING_2023,
            {member("train-clean-100/a", "mfcc"): None},
            member("train-clean-100/a", "transcript"),
            "has no features",
        ),
        (SPRING_2023, {ALSO_B: npy(FRAMES["train-clean-100/b"])}, ALSO_B, "is a duplicate"),
        (
            SPRING_2023,
            {member("train-clean-360/b", "transcript"): npy(["HH"])},
            member("train-clean-360/b", "transcript"),
            "is a duplicate",
        ),
        (
            SPRING_2023,
            {member("train-clean-360/c", "mfcc"): npy(np.ones((9, 6)))},
            member("train-clean-360/c", "mfcc"),
            "has 6 coefficients, but the utterances before it have 5",
        ),
        (SPRING_2022, {f"{TOP}/test/mfcc/z.npy": None}, "z.npy", "is listed in test_order.csv but missing"),
        (
            SPRING_2022,
            {f"{TOP}/test/mfcc/w.npy": npy(np.ones((9, 5)))},
            f"{TOP}/test/mfcc/w.npy",
            "is not listed in test_order.csv",
        ),
    ],
)  # fmt: skip
def test_files_that_do_not_match_are_named_or_left_out_when_so_asked(
    layout: dict[str, bytes],
    changes: dict[str, bytes | None],
    named: str,
    words: str,
    write_zip: WriteZip,
    tmp_path: Path,
) -> None:
    members = {name: content for name, content in (layout | changes).items() if content is not None}
    path = write_zip("raw/a.zip", members)
    message = problem(path, tmp_path / "out")
    assert message.startswith(str(tmp_path / "raw"))
    assert f": {named}: {words}" in message
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip").rejected
    assert rejected.item.endswith(f": {named}")
    assert rejected.reason == words


@pytest.mark.parametrize(("split", "kind"), [("train", "mfcc"), ("dev", "transcript")])
def test_what_a_split_lacks_is_named_without_bad_advice(split: str, kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    members = {name: SPRING_2023[name] for name in SPRING_2023 if f"/{split}-" not in name or f"/{kind}/" not in name}
    message = problem(write_zip("raw/a.zip", members), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: looks like HW3P2 (")
    assert message.endswith(f"), but there are no {split}*/{kind}/*.npy")


def test_the_test_split_may_be_missing(write_zip: WriteZip, tmp_path: Path) -> None:
    members = {name: SPRING_2023[name] for name in SPRING_2023 if "test" not in name}
    stats = pack(write_zip("test_of_mine/a.zip", members), tmp_path / "out")
    assert stats.num["test"] == 0 and stats.understood.submissions == {}
    assert not (tmp_path / "out" / "test").exists()


def test_a_folder_of_no_test_utterances_is_named(write_zip: WriteZip, tmp_path: Path) -> None:
    members = {name: SPRING_2023[name] for name in SPRING_2023 if "test-clean/mfcc" not in name}
    message = problem(write_zip("a.zip", members), tmp_path / "out")
    assert f"no good utterance for the test split, but {TOP}/test-clean/transcript/random_submission.csv is" in message


def test_spring_2022_without_its_order_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    members = {name: SPRING_2022[name] for name in SPRING_2022 if "order" not in name}
    message = problem(write_zip("a.zip", members), tmp_path / "out")
    assert "those of spring 2022 (<sos> …), but test_order.csv, which gives the order" in message


@pytest.mark.parametrize(
    ("content", "words"), [(b"file\nx.npy\nx.npy\n", "lists x twice"), (b"\xff", "line 1: is not UTF-8 text")]
)
def test_a_bad_test_order_is_named(content: bytes, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", SPRING_2022 | {f"{TOP}/test/test_order.csv": content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {TOP}/test/test_order.csv: {words}")


def tiny(width: int, sample: bytes | None = None, each: int = 2) -> dict[str, bytes]:
    """A term of `width` features."""
    members = {f"{TOP}/test-clean/random_submission.csv": sample} if sample is not None else {}
    for split in ("train-clean-100", "dev-clean", "test-clean"):
        for index in range(each):
            members[f"{TOP}/{split}/mfcc/{index}.npy"] = npy(RANDOM.normal(size=(9 + index, width)))
            if split != "test-clean":
                members[f"{TOP}/{split}/transcript/{index}.npy"] = npy(["[SOS]", *["HH", "AY"][: index + 1], "[EOS]"])
    return members


@pytest.mark.parametrize(
    ("members", "layout", "header"),
    [
        (tiny(15), "HW3P2 of fall 2022, 15 features a frame", ["id", "label"]),
        (tiny(27, b"index,label\n0,a\n1,b\n"), "HW3P2 of spring 2023 or 2024, 27 features a frame", ["index", "label"]),
        (tiny(28, b"Id,Label\n0,a\n1,b\n"), "HW3P2 of fall 2023, fall 2024 or later, 28 features a frame", ["Id", "Label"]),
        (tiny(28, b"\xff"), "HW3P2 of fall 2023, fall 2024 or later, 28 features a frame", ["index", "label"]),
        (tiny(9), "HW3P2 of 2022 or later, 9 features a frame", ["id", "label"]),
        (SPRING_2022, "HW3P2 of spring 2022, 5 features a frame", ["id", "predictions"]),
    ],
)
def test_the_term_and_its_header_follow_from_the_data(
    members: dict[str, bytes], layout: str, header: list[str], write_zip: WriteZip, tmp_path: Path
) -> None:
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert lines(stats.understood)[:2] == [f"layout: {layout}", "classes: 40 phonemes"]
    assert lines(stats.understood)[3] == f"submission: submission.csv ({','.join(header)})"
    assert stats.submission.header == header


@pytest.mark.parametrize(
    ("members", "names", "left_out"),
    [
        (SPRING_2023 | {member("test-clean/x", "mfcc"): b"", member("test-clean/z", "mfcc"): b""}, "y", [0, 2]),
        (SPRING_2022 | {f"{TOP}/test/mfcc/z.npy": b""}, "yx", [1]),
        ({k: v for k, v in SPRING_2022.items() if k != f"{TOP}/test/mfcc/y.npy"}, "zx", [0]),
        (SPRING_2023 | {f"{TOP}/test-other/mfcc/x.npy": npy(np.ones((9, 5)))}, "xyz", []),
    ],
)
def test_the_places_of_test_utterances_that_are_left_out_are_kept(
    members: dict[str, bytes], names: str, left_out: list[int], write_zip: WriteZip, tmp_path: Path
) -> None:
    stats = pack(write_zip("a.zip", members), tmp_path / "out", on_bad="skip")
    assert list(read(tmp_path / "out", "test")) == list(names)
    assert stats.submission.left_out == left_out and len(stats.rejected) >= 1


def other_homework(symbols: Callable[[int], list[str]], count: int) -> dict[str, bytes]:
    """`count` training utterances, of `symbols(frames)` each, in the folders of HW3P2."""
    members = tiny(13)
    for index in range(count):
        frames = 20 + index
        members[f"{TOP}/train-clean-100/mfcc/{index}.npy"] = npy(np.ones((frames, 13)))
        members[f"{TOP}/train-clean-100/transcript/{index}.npy"] = npy(["[SOS]", *symbols(frames), "[EOS]"])
    return members


def test_other_homework_in_the_same_folders_is_told(write_zip: WriteZip, tmp_path: Path) -> None:
    frame_by_frame = other_homework(lambda num: ["AA"] * num, 60)
    for name in [name for name in frame_by_frame if "/dev-clean/transcript/" in name]:
        frame_by_frame[name] = npy(["AA"] * (9 + int(name[-5])))
    message = problem(write_zip("raw/a.zip", frame_by_frame), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: looks like HW1P2: its transcripts have a symbol for every frame")
    letters = other_homework(lambda num: list("THE CAT SAT"), 8)
    for name in [name for name in letters if "/dev-clean/transcript/" in name]:
        letters[name] = npy(["<sos>", *"IT'S", "<eos>"])
    message = problem(write_zip("raw/b.zip", letters), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: looks like HW4P2: its transcripts are letters")
    assert "on_bad" not in message


@pytest.mark.parametrize("symbols", [["K", "T", "S"], ["AA"] * 20, ["HH", "AY"]], ids=["letters", "long", "short"])
def test_hw3p2_itself_is_never_taken_for_other_homework(symbols: list[str], write_zip: WriteZip, tmp_path: Path) -> None:
    """Not for phonemes that are letters, nor for some utterances with as many phonemes as frames."""
    members = other_homework(lambda num: symbols[: 1 + num % len(symbols)], 12)
    assert pack(write_zip("a.zip", members), tmp_path / "out").num["train"] == 12


def test_transcripts_that_are_all_the_same_are_refused_unless_they_are_a_handful(
    write_zip: WriteZip, tmp_path: Path
) -> None:
    assert pack(write_zip("a.zip", other_homework(lambda num: ["HH", "AY"], 19)), tmp_path / "few").num["train"] == 19
    message = problem(write_zip("raw/b.zip", other_homework(lambda num: ["HH", "AY"], 20)), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: all 20 transcripts of the train split are the same")


def test_a_fold_in_place_of_its_dev_split_is_refused(write_zip: WriteZip, tmp_path: Path) -> None:
    message = problem(write_zip("raw/a.zip", SPRING_2023), tmp_path / "out", Fold(2, 0))
    assert message.startswith(f"{tmp_path / 'raw'}: has a dev split of its own")
