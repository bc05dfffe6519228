"""CTC decoding into strings of phoneme characters, and edit distances. N utterances, T frames, K classes.

The score of every epoch uses greedy decoding. Only `evaluate` runs a prefix beam search, by fast-ctc-decode: it gives the
same strings as ctcdecode, which no longer installs, and as a textbook beam search (tests/tasks/speech/test_decode.py).
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

# Frames times beam for which a pool is started, which takes 0.3 s: one process searches them in about 2 s without a cut.
MIN_POOL_WORK = 1_000_000


def greedy(log_probs: Tensor, lengths: Tensor) -> list[str]:
    """Return the most probable class of each frame, with repeats merged and blanks dropped, as strings.

    log_probs (N, T, K), lengths (N,).
    """
    best = log_probs.argmax(2).tolist()
    merged = (
        [symbol for symbol, _ in itertools.groupby(row[:length])] for row, length in zip(best, lengths.tolist(), strict=True)
    )
    return ["".join(CHARACTERS[symbol] for symbol in row if symbol != BLANK) for row in merged]


def texts(symbols: Tensor, lengths: Tensor) -> list[str]:
    """Return strings of the first lengths (N,) classes of each padded row (N, S)."""
    rows = zip(symbols.tolist(), lengths.tolist(), strict=True)
    return ["".join(CHARACTERS[symbol] for symbol in row[:length]) for row, length in rows]


def beam_search(log_probs: Sequence[np.ndarray], beam: int, cut: float, num_processes: int | None) -> list[str]:
    """Return the best string of each of log_probs, (T, K) float32 of any lengths, by prefix beam search.

    cut: classes below this probability in a frame are ignored. num_processes: None uses all cores if there is enough work.
    """
    assert 0 <= cut < 1 / NUM_CLASSES, "params.yaml is checked for it"
    if num_processes is None:
        num_processes = num_cores() if beam * sum(map(len, log_probs)) > MIN_POOL_WORK else 1
    search = partial(_search, beam=beam, cut=cut)
    emissions = [array for array in log_probs if len(array)]
    if num_processes == 1:
        found = [search(array) for array in emissions]
    else:
        with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
            with _bare_main():
                results = pool.map(search, emissions, chunksize=len(emissions) // (8 * num_processes) + 1)
            found = list(results)
    strings = iter(found)
    return [next(strings) if len(array) else "" for array in log_probs]


def _search(log_probs: np.ndarray, beam: int, cut: float) -> str:
    text, _ = fast_ctc_decode.beam_search(np.exp(log_probs), CHARACTERS, beam_size=beam, beam_cut_threshold=cut)
    return str(text)


@contextmanager
def _bare_main() -> Iterator[None]:
    """Keep processes started in the block from importing the main module, which for a stage is torch: seconds each."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def distances(predicted: Sequence[str], true: Sequence[str]) -> list[int]:
    """Return the Levenshtein distance of each pair: the fewest substitutions, insertions and deletions."""
    return [Levenshtein.distance(*pair) for pair in zip(predicted, true, strict=True)]
