"""Decoding against naive loops, a textbook prefix beam search, and ctcdecode's own answers."""

import math
import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.config.check import build
from stages.core.errors import InputError
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES
from stages.tasks.speech.settings import Evaluate
from stages.tasks.speech.training import decode
from tests.conftest import ROOT

VECTORS = ROOT.parent / "shared" / "data" / "ctcdecode-vectors.npz"


def emissions(seed: int, num_frames: int, sharpness: float) -> np.ndarray:
    """Log-probabilities (T, K): noise, and of each frame one class, most often blank, raised by `sharpness`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(num_frames, NUM_CLASSES))
    chosen = np.where(rng.random(num_frames) < 0.4, BLANK, rng.integers(NUM_CLASSES, size=num_frames))
    logits[np.arange(num_frames), chosen] += sharpness
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def textbook(log_probs: np.ndarray, beam: int) -> list[tuple[str, float]]:
    """Prefix beam search (Hannun et al., arXiv:1408.2873, without a language model), in float64.

    The last beam, best first: prefixes and their log-probabilities.
    """
    kept = {"": (0.0, -math.inf)}  # prefix -> log-probability of the paths that end in blank, and in its last symbol
    for frame in log_probs.astype(np.float64):
        blank: dict[str, float] = defaultdict(lambda: -math.inf)
        symbol: dict[str, float] = defaultdict(lambda: -math.inf)
        for prefix, (ends_blank, ends_symbol) in kept.items():
            both = np.logaddexp(ends_blank, ends_symbol)
            blank[prefix] = np.logaddexp(blank[prefix], both + frame[BLANK])
            for index in range(1, NUM_CLASSES):
                longer = prefix + CHARACTERS[index]
                if prefix.endswith(CHARACTERS[index]):
                    symbol[prefix] = np.logaddexp(symbol[prefix], ends_symbol + frame[index])
                    symbol[longer] = np.logaddexp(symbol[longer], ends_blank + frame[index])
                else:
                    symbol[longer] = np.logaddexp(symbol[longer], both + frame[index])
        total = {prefix: np.logaddexp(blank[prefix], symbol[prefix]) for prefix in {*blank, *symbol}}
        best = sorted(total, key=lambda prefix: -total[prefix])[:beam]
        kept = {prefix: (blank[prefix], symbol[prefix]) for prefix in best}
    return [(prefix, float(np.logaddexp(*ends))) for prefix, ends in kept.items()]


@given(
    seed=st.integers(0, 1000),
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    extra=st.integers(0, 3),
    classes=st.integers(2, NUM_CLASSES),
    sharpness=st.sampled_from([0.2, 1.0, 3.0]),
)
@settings(max_examples=100, deadline=None)
def test_greedy_is_the_naive_loop(seed: int, lengths: list[int], extra: int, classes: int, sharpness: float) -> None:
    rng = np.random.default_rng(seed)
    # Whole numbers up to 3 make repeats, and classes that share the maximum, frequent.
    logits = rng.integers(4, size=(len(lengths), max(lengths) + extra, classes)).astype(np.float32)
    log_probs = torch.from_numpy(sharpness * logits).log_softmax(2)
    expected = []
    for rows, length in zip(log_probs.numpy(), lengths, strict=True):
        text, before = "", BLANK
        for row in rows[:length]:
            best = int(row.argmax())
            if best not in (BLANK, before):
                text += CHARACTERS[best]
            before = best
        expected.append(text)
    assert decode.greedy(log_probs, torch.tensor(lengths)) == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_greedy_is_the_same_on_a_gpu() -> None:
    log_probs = torch.from_numpy(np.stack([emissions(seed, 50, 3.0) for seed in range(20)]))
    lengths = torch.arange(20) * 2 + 10
    assert decode.greedy(log_probs.cuda(), lengths) == decode.greedy(log_probs, lengths)


def test_texts_are_the_symbols_within_the_lengths() -> None:
    symbols = torch.tensor([[1, 2, 2, 40], [32, 0, -1, -1]])
    assert decode.texts(symbols, torch.tensor([4, 1])) == ["-GGI", "g"]
    assert decode.texts(symbols[:, :0], torch.tensor([0, 0])) == ["", ""]


@pytest.mark.parametrize("sharpness", [0.0, 3.0, 6.0])
@pytest.mark.parametrize("beam", [1, 10])
def test_beam_search_is_the_textbooks(sharpness: float, beam: int) -> None:
    """Up to float32's rounding: where it orders two prefixes otherwise, both are equally probable."""
    items = [emissions(seed, num_frames, sharpness) for seed, num_frames in enumerate([1, 2, 3, 5, 8, 13, 21, 34])]
    assert decode.beam_search(items, beam, 0.0, 1) == [textbook(item, beam)[0][0] for item in items]


@pytest.mark.parametrize(("beam", "cut"), [(2, 0.0), (10, 0.001), (50, 0.001)])
@pytest.mark.skipif(not VECTORS.is_file(), reason=f"{VECTORS} is not here: emissions with ctcdecode's answers")
def test_beam_search_is_ctcdecodes(beam: int, cut: float) -> None:
    vectors = np.load(VECTORS)
    items = np.split(vectors["log_probs"], vectors["offsets"][1:-1])
    symbols = np.split(vectors[f"beam{beam}"], vectors[f"beam{beam}_offsets"][1:-1])
    assert len(items) == 96
    assert decode.beam_search(items, beam, cut, None) == ["".join(CHARACTERS[i] for i in item) for item in symbols]


def test_no_frames_give_no_text() -> None:
    nothing = np.zeros((0, NUM_CLASSES), np.float32)
    assert decode.beam_search([nothing, nothing], 10, 0.001, None) == ["", ""]
    assert decode.beam_search([], 10, 0.001, 2) == []


def test_much_work_is_shared_out_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MIN_POOL_WORK", 100)
    monkeypatch.setattr(decode, "num_cores", lambda: 2)
    items = [emissions(seed, seed % 20, 5.0) for seed in range(40)]
    alone = decode.beam_search(items, 4, 0.001, 1)
    assert len(set(alone)) > 30
    assert decode.beam_search(items, 4, 0.001, None) == alone


def test_a_worker_imports_neither_torch_nor_the_main_program() -> None:
    program = "import sys, fast_ctc_decode; print('torch' in sys.modules)"  # all that a worker unpickles
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
    with decode._bare_main():
        main = sys.modules["__main__"]
        assert main.__spec__ is None and not hasattr(main, "__file__")
    assert sys.modules["__main__"] is not main


@pytest.mark.parametrize("cut", [1 / NUM_CLASSES, -0.1])
def test_a_cut_that_can_leave_nothing_is_an_error(cut: float) -> None:
    with pytest.raises(InputError, match=r"evaluate\.cut: must be at least 0 and below 1/41"):
        build(Evaluate, {"weights": "best", "beam": 10, "cut": cut}, "evaluate")


@given(st.lists(st.tuples(st.text("abc", max_size=8), st.text("abc", max_size=8)), max_size=5))
@settings(max_examples=100, deadline=None)
def test_distances_are_those_of_dynamic_programming(pairs: list[tuple[str, str]]) -> None:
    predicted, true = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    assert decode.distances(predicted, true) == [naive_distance(*pair) for pair in pairs]


def naive_distance(one: str, other: str) -> int:
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row, above = [i], row
        for j, b in enumerate(other, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (a != b)))
    return row[-1]
