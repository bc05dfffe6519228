"""One layout is found, or one sentence says which it looks like and what is not there."""

from pathlib import Path

import pytest

from tests.tasks.speech.raw.packing import WriteZip, problem

AUDIO = "known layouts: X.PHN beside X.WAV or X.WAV.wav (TIMIT), or X.flac or X.wav, and X's words in *.trans.txt"


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (
            ["readme.txt", "a.csv"],
            "holds no layout of this task, the first file is readme.txt; known layouts: <split>/mfcc/",
        ),
        (["wavs/a.wav", "metadata.csv"], f"holds recordings, such as wavs/a.wav, but no transcripts; {AUDIO}"),
        (["clips/a.mp3", "train.tsv"], f"holds clips/a.mp3, but recordings must be wav or flac; {AUDIO}"),
        (["TRAIN/A/SA1.PHN"], "looks like TIMIT (X.PHN beside X.WAV or X.WAV.wav), but there are no .WAV"),
        (["train/a.trans.txt", "train/a.mp3"], "looks like LibriSpeech ("),
        (["TRAIN/A/SA1.PHN", "train/a.trans.txt", "a.wav"], "holds several layouts, TIMIT ("),
        (
            ["train/mfcc/a.npy", "train.npy"],
            "holds several layouts, HW3P2 (<split>/mfcc/*.npy and <split>/transcript/*.npy) and",
        ),
    ],
)
def test_what_is_no_layout_is_refused_in_one_sentence(
    members: list[str], words: str, write_zip: WriteZip, tmp_path: Path
) -> None:
    message = problem(write_zip("raw/a.zip", dict.fromkeys(members, b"")), tmp_path / "out")
    assert message.startswith(f"{tmp_path / 'raw'}: {words}")
    assert "on_bad" not in message and ". " not in message
