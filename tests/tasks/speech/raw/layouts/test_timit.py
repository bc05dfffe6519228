"""TIMIT: 39 phones, one utterance a recording, however many copies of it there are."""

from pathlib import Path

import pytest

from tests.tasks.speech.raw.packing import WriteZip, contents, pack, problem, read, tone

PHONES = ["h#", "bcl", "b", "ix", "dx", "axr", "q", "ao", "zh", "h#"]
PHN = "".join(f"{number}00 {number + 1}00 {phone}\n" for number, phone in enumerate(PHONES)).encode()
OURS = ["[SIL]", "B", "IH", "T", "ER", "AA", "SH", "[SIL]"]
TEST = ["MDAB0_SA1", "MDAB0_SX9", "MREB0_SA1", "MREB0_SX9"]


def timit(*suffixes: str, kinds: dict[str, str] | None = None) -> dict[str, bytes]:
    """Two recordings of each speaker, as files of these suffixes."""
    members: dict[str, bytes] = {}
    for part, speakers in (("TRAIN", ["FAKS0", "MJSW0", "MARC0"]), ("TEST", ["MREB0", "MDAB0"])):
        for number, utterance in enumerate(
            f"TIMIT/{part}/DR1/{name}/{text}" for name in speakers for text in ("SA1", "SX9")
        ):
            for suffix in suffixes:
                kind = (kinds or {".WAV": "NIST", ".flac": "FLAC"}).get(suffix, "WAV")
                members[utterance + suffix] = tone(kind=kind, seed=number)
            members |= {f"{utterance}.PHN": PHN, f"{utterance}.TXT": b"0 9 A.\n", f"{utterance}.WRD": b"0 9 a\n"}
    return members | {"TIMIT/README.DOC": b"x", "train_data.csv": b"index\n"}


@pytest.mark.parametrize("suffixes", [(".WAV",), (".WAV", ".WAV.wav"), (".WAV", ".flac")])
def test_every_recording_is_one_utterance(suffixes: tuple[str, ...], write_zip: WriteZip, tmp_path: Path) -> None:
    stats = pack(write_zip("a.zip", timit(*suffixes)), tmp_path / "out")
    assert stats.num == {"train": 4, "dev": 2, "test": 4} and stats.rejected == []
    assert stats.understood.layout == "TIMIT, 27 features a frame"
    found = read(tmp_path / "out", "train") | read(tmp_path / "out", "dev")
    assert {name.split("_")[0] for name in found} == {"FAKS0", "MJSW0", "MARC0"}
    assert all(symbols == OURS for _, symbols in found.values())
    assert list(read(tmp_path / "out", "test")) == TEST


def test_a_speaker_is_the_folder_of_the_recording_and_not_that_of_the_dialect(write_zip: WriteZip, tmp_path: Path) -> None:
    members = timit(".WAV")
    members |= {name.replace("DR1/", "DR2/X"): content for name, content in members.items() if "TRAIN/DR1" in name}
    assert pack(write_zip("a.zip", members), tmp_path / "out").num == {"train": 10, "dev": 2, "test": 4}


def test_sphere_riff_and_both_give_the_same(write_zip: WriteZip, tmp_path: Path) -> None:
    for name, suffixes in (("nist", (".WAV",)), ("riff", (".WAV.wav",)), ("both", (".WAV.wav", ".WAV"))):
        pack(write_zip(f"{name}.zip", timit(*suffixes)), tmp_path / name)
    nist, riff, both = (contents(tmp_path / name) for name in ("nist", "riff", "both"))
    assert nist == both
    assert {name: content for name, content in nist.items() if "audio" not in name} == {
        name: content for name, content in riff.items() if "audio" not in name
    }


@pytest.mark.parametrize(
    ("changes", "named", "words"),
    [
        ({".PHN": b"0 100 xyz\n"}, ".PHN", "holds 'XYZ', which is not one of the phonemes"),
        ({".PHN": b""}, ".PHN", "holds no phoneme"),
        ({".WAV": tone(kind="NIST")[:-2]}, ".WAV", "is cut short"),
    ],
)
def test_a_bad_utterance_is_named(
    changes: dict[str, bytes], named: str, words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    stem = "TIMIT/TRAIN/DR1/FAKS0/SX9"
    path = write_zip("a.zip", timit(".WAV") | {stem + suffix: content for suffix, content in changes.items()})
    assert problem(path, tmp_path / "out").startswith(f"{path}: {stem}{named}: {words}")
    assert len(pack(path, tmp_path / "skipped", on_bad="skip").rejected) == 1
