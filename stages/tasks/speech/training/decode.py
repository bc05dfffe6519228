"""From emissions to strings of phoneme characters, and how far two strings are apart. N utterances, T frames, K classes.

Greedy decoding gives the score of every epoch. Prefix beam search runs once, in
evaluate, by fast-ctc-decode: it gives the strings of ctcdecode, which no longer installs, and of a textbook prefix beam
search (tests/tasks/speech/test_decode.py).
"""

import itertools
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import ModuleType

import fast_ctc_decode
import Levenshtein
import numpy as np
from torch import Tensor

from stages.core.machine import num_cores
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES

# Frames times beam that one process searches in about 2 s without a cut; starting a pool takes 0.3 s.
WORTH_A_POOL = 1_000_000


def greedy(log_probs: Tensor, lengths: Tensor) -> list[str]:
    """The most probable class of each frame, repeats merged, blanks dropped. log_probs (N, T, K), lengths (N,)."""
    best = log_probs.argmax(2).tolist()
    merged = (
        [symbol for symbol, _ in itertools.groupby(row[:length])] for row, length in zip(best, lengths.tolist(), strict=True)
    )
    return ["".join(CHARACTERS[symbol] for symbol in row if symbol != BLANK) for row in merged]


def texts(symbols: Tensor, lengths: Tensor) -> list[str]:
    """Strings of padded classes (N, S), the first lengths (N,) of each row."""
    rows = zip(symbols.tolist(), lengths.tolist(), strict=True)
    return ["".join(CHARACTERS[symbol] for symbol in row[:length]) for row, length in rows]


def beam_search(log_probs: Sequence[np.ndarray], beam: int, cut: float, num_processes: int | None) -> list[str]:
    """Prefix beam search on each of log_probs, (T, K) float32 and of any lengths: the best strings found, in order.

    cut: classes below this probability in a frame are not followed. num_processes: None takes all cores where the work
    is worth their start.
    """
    assert 0 <= cut < 1 / NUM_CLASSES, "params.yaml is checked for it"
    if num_processes is None:
        worth_it = beam * sum(map(len, log_probs)) > WORTH_A_POOL
        num_processes = num_cores() if worth_it else 1
    search = partial(_search, beam=beam, cut=cut)
    emissions = [item for item in log_probs if len(item)]
    if num_processes == 1:
        found = [search(item) for item in emissions]
    else:
        with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
            with _bare_main():
                results = pool.map(search, emissions, chunksize=len(emissions) // (8 * num_processes) + 1)
            found = list(results)
    strings = iter(found)
    return [next(strings) if len(item) else "" for item in log_probs]


def _search(log_probs: np.ndarray, beam: int, cut: float) -> str:
    text, _ = fast_ctc_decode.beam_search(np.exp(log_probs), CHARACTERS, beam_size=beam, beam_cut_threshold=cut)
    return str(text)


@contextmanager
def _bare_main() -> Iterator[None]:
    """Processes started in here do not import the program that starts them: for a stage that is torch, seconds each."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def distances(predicted: Sequence[str], true: Sequence[str]) -> list[int]:
    """Levenshtein distance of each pair: the fewest substitutions, insertions and deletions between the two."""
    return [Levenshtein.distance(*pair) for pair in zip(predicted, true, strict=True)]
