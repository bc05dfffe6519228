"""Alignments against brute force, and the whole evaluation on emissions whose answers are known."""

import csv
import io
import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from stages.compute import device
from stages.data.packed import Ragged, text_row
from stages.sequences.evaluation.alignment import GAP, Pair, align, confusions, edits, lines
from stages.tasks.speech import CHARACTERS, NUM_CLASSES, evaluation, training
from stages.tasks.speech.evaluation import aligned, audio, charts
from stages.tasks.speech.training import decode

FEW = st.text("abc", max_size=7)


@cache
def possible(true: str, predicted: str) -> frozenset[tuple[int, int, int]]:
    """(S, I, D) of every alignment of the two strings with the fewest edits."""
    if not true or not predicted:
        return frozenset({(0, len(predicted), len(true))})
    ways = {(s + (true[0] != predicted[0]), i, d) for s, i, d in possible(true[1:], predicted[1:])}
    ways |= {(s, i, d + 1) for s, i, d in possible(true[1:], predicted)}
    ways |= {(s, i + 1, d) for s, i, d in possible(true, predicted[1:])}
    return frozenset(way for way in ways if sum(way) == min(map(sum, ways)))


@given(FEW, FEW)
@settings(max_examples=80, deadline=None)
def test_an_alignment_is_one_of_the_shortest(true: str, predicted: str) -> None:
    pairs = align(true, predicted)
    counts = edits([pairs])
    assert (counts["S"], counts["I"], counts["D"]) in possible(true, predicted)
    assert [counts.total()] == decode.distances([predicted], [true])
    assert "".join(pair.true for pair in pairs).replace(GAP, "") == true
    assert "".join(pair.predicted for pair in pairs).replace(GAP, "") == predicted
    assert Pair(GAP, GAP) not in pairs


def test_lines_show_every_edit_at_its_place() -> None:
    pairs = align("abcdef", "xbdefg")
    assert lines(pairs, 100) == [("abcdef_", "xb_defg", "S D   I")]
    assert lines(pairs, 4) == [("abcd", "xb_d", "S D "), ("ef_", "efg", "  I")]
    assert lines([], 5) == []


def test_confusions_are_ordered_by_how_frequent_they_are() -> None:
    alignments = [
        align("IiI", "iiI"),
        align("I", "i"),
        align("ds", "tz"),
        align("s", "z"),
        align("sks", "zk"),
        align("d", ""),
    ]
    assert confusions(alignments) == [(Pair("s", "z"), 3), (Pair("I", "i"), 2), (Pair("d", "t"), 1)]
    assert confusions([align("abc", "abc")]) == []


def test_the_worst_and_the_median_are_by_distance_per_symbol() -> None:
    utterances = [aligned.Utterance(f"{wrong:02}", align("a" * 20, "a" * (20 - wrong) + "b" * wrong)) for wrong in range(21)]
    chosen = aligned.worst_and_median(utterances)
    assert [item.name for item in chosen["worst"]] == ["20", "19", "18", "17", "16"]
    assert [item.name for item in chosen["median"]] == ["12", "11", "10", "09", "08"]
    few = aligned.worst_and_median(utterances[:7])
    assert [item.name for item in few["worst"] + few["median"]] == ["06", "05", "04", "03", "02", "01", "00"]
    assert aligned.Utterance("", align("", "ab")).distance == 2


class KnownBatches:
    """Emissions that say `predicted`, one frame a symbol and a blank after each, in batches that come back to front."""

    def __init__(self, predicted: list[str], true: list[str]) -> None:
        self.names = [f"utterance-{index}" for index in range(len(true))]
        self.predicted, self.true = predicted, true

    def __len__(self) -> int:
        return -(-len(self.names) // 3)

    def epoch(self, epoch: int) -> Any:
        for indices in reversed(torch.arange(len(self.names)).split(3)):
            true = [symbols(self.true[index]) for index in indices.tolist()]
            frames = [symbols(" ".join(self.predicted[index]) + " ") for index in indices.tolist()]
            inputs = nn.functional.one_hot(nn.utils.rnn.pad_sequence(frames, batch_first=True), NUM_CLASSES).float()
            yield SimpleNamespace(
                inputs=inputs,
                lengths=torch.tensor([len(item) for item in frames]),
                targets=nn.utils.rnn.pad_sequence(true, batch_first=True),
                target_lengths=torch.tensor([len(item) for item in true]),
                indices=indices,
            )


def symbols(text: str) -> Tensor:
    return torch.tensor([CHARACTERS.index(character) for character in text], dtype=torch.long)


PREDICTED = ["-hElo-", "-wRld-", "-aaa-", "-g-", "-G-", "-stAp-", "-"]
TRUE = ["-hElO-", "-wRld-", "-aa-", "-G-", "-G-", "-st@p-", "-I-"]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = {"dev": KnownBatches(PREDICTED, TRUE), "test": KnownBatches(PREDICTED[::-1], [""] * len(TRUE))}
    monkeypatch.setattr(training, "eval_batches", lambda features, split, run, compute: splits[split])
    monkeypatch.setattr(training, "forward", known_output)


def known_output(model: nn.Module, batch: Any) -> Any:
    return SimpleNamespace(log_probs=(9 * batch.inputs).log_softmax(2), lengths=batch.lengths)


def evaluate(folder: Path, features: Path) -> dict[str, Any]:
    settings = SimpleNamespace(beam=10, cut=0.001)
    run: Any = SimpleNamespace(evaluate=settings, train=SimpleNamespace(final=False))
    index = device.choose("cpu", "fp32", False)
    return evaluation.evaluate(nn.Identity(), "run", run, features, index, 0, plots_to=folder, predictions_to=folder)


def test_evaluation_counts_what_is_known(known: None, tmp_path: Path) -> None:
    write_names(tmp_path / "features", len(TRUE))
    metrics = evaluate(tmp_path, tmp_path / "features")
    total = sum(map(len, TRUE))
    expected = {"substitutions": 3 / total, "insertions": 1 / total, "deletions": 2 / total, "per": 6 / total, "num": 7}
    assert metrics == pytest.approx(expected | {"distance": 6 / 7, "greedy": 6 / 7})
    rows = list(csv.DictReader((tmp_path / "dev.csv").open(newline="")))
    assert [row["predicted"] for row in rows] == PREDICTED and [row["label"] for row in rows] == TRUE
    assert rows[0] == {"name": "utterance-0", "predicted": "-hElo-", "label": "-hElO-", "distance": "1"}
    tests = list(csv.DictReader((tmp_path / "test.csv").open(newline="")))
    assert tests[1] == {"name": "utterance-1", "predicted": "-stAp-"} and len(tests) == 7
    assert "worst 1: utterance-6: distance 2 for 3 symbols (0 substituted, 0 inserted, 2 deleted)\n" in (
        tmp_path / "aligned.txt"
    ).read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.glob("*.png")} == {"aligned.png", "confused.png", "length.png"}


SOUND = [("FLAC", "PCM_16"), ("WAV", "PCM_24"), ("NIST", "PCM_16"), ("WAV", "FLOAT"), ("AIFF", "PCM_16")]  # by index


def test_the_worst_utterances_can_be_heard_in_the_order_of_the_text(known: None, tmp_path: Path) -> None:
    random, waves, contents = np.random.default_rng(0), list[np.ndarray](), list[bytes]()
    with Ragged(tmp_path / "features/dev/audio", (), np.uint8) as recordings:
        for index in range(len(TRUE)):
            form, subtype = SOUND[index % len(SOUND)]
            waves.append(random.integers(-9999, 9999, (1000 + index, 1 + index % 2)) / 2**15)
            soundfile.write(content := io.BytesIO(), waves[index], 8000 + index, format=form, subtype=subtype)
            contents.append(content.getvalue())
            recordings.append(np.frombuffer(contents[index], np.uint8))
    evaluate(tmp_path, tmp_path / "features")
    text = (tmp_path / "aligned.txt").read_text(encoding="utf-8")
    worst = re.findall(r"^worst (\d): utterance-(\d):", text, re.MULTILINE)
    files = sorted((tmp_path / "audio").iterdir())
    assert [file.stem for file in files] == [f"0{rank}-utterance-{index}" for rank, index in worst]
    assert len(files) == 5 and {SOUND[int(index) % 5][0] for _, index in worst} > {"FLAC", "NIST"}
    for file, index in zip(files, [int(index) for _, index in worst], strict=True):
        form, subtype = SOUND[index % len(SOUND)]
        assert file.suffix == (".flac" if form == "FLAC" else ".wav")
        if (form, subtype) in SOUND[:2]:
            assert file.read_bytes() == contents[index]
        info, (wave, rate) = soundfile.info(file), soundfile.read(file, always_2d=True)
        assert info.format == file.suffix[1:].upper() and info.subtype in ("PCM_16", "PCM_24") and rate == 8000 + index
        np.testing.assert_array_equal(wave, waves[index])


def test_any_name_makes_a_file_name(tmp_path: Path) -> None:
    names = ["plain_1-2.b", "../../x", "..", "a b\n\0?", "ü" * 300, "a" * 300, "-"]
    soundfile.write(content := io.BytesIO(), np.zeros(100), 16_000, format="FLAC")
    with Ragged(tmp_path / "recordings", (), np.uint8) as recordings:
        for _ in names:
            recordings.append(np.frombuffer(content.getvalue(), np.uint8))
    audio.write(tmp_path / "audio", tmp_path / "recordings", names, names)
    safe = ["plain_1-2.b", ".._.._x", "..", "a_b___", "_" * 100, "a" * 100, "-"]
    files = sorted(path.name for path in (tmp_path / "audio").iterdir())
    assert files == [f"0{rank}-{name}.flac" for rank, name in enumerate(safe, start=1)]


@pytest.mark.parametrize("folder", [False, True])
def test_without_test_utterances_or_audio_there_is_nothing_of_them(known: None, tmp_path: Path, folder: bool) -> None:
    if folder:
        write_names(tmp_path / "features", 0)
    evaluate(tmp_path, tmp_path / "features")
    assert not (tmp_path / "test.csv").exists() and not (tmp_path / "audio").exists()


def write_names(features: Path, num: int) -> None:
    with Ragged(features / "test/names", (), np.uint8) as names:
        for index in range(num):
            names.append(text_row(f"utterance-{index}"))


def test_charts_can_be_drawn_without_errors_or_with_one_utterance(tmp_path: Path) -> None:
    charts.confused(tmp_path / "confused.png", "run", [align("abc", "abc")])
    charts.by_length(tmp_path / "length.png", "run", np.array([1.5]), np.array([0]), np.array([0]))
    aligned.draw(tmp_path / "aligned.png", "run", aligned.worst_and_median([aligned.Utterance("one", align("", ""))]))
    assert len(list(tmp_path.glob("*.png"))) == 3
