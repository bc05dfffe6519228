"""From emissions to strings of phoneme characters, and how far two strings are apart. N utterances, T frames, K classes.

Greedy decoding runs on the device, a batch at a time, for the score of every epoch. Prefix beam search runs once, in
evaluate, by fast-ctc-decode: it gives the strings of ctcdecode, which no longer installs, and of a textbook prefix beam
search (tests/tasks/speech/test_decode.py).
"""

import math
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
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.engine.machine import num_cores
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES

# Frames times beam that one process searches in about 2 s without a cut; starting a pool takes 0.3 s.
WORTH_A_POOL = 1_000_000
SURE = math.log(0.501)  # not 0.5, so that rounding cannot make two classes so probable


def greedy(log_probs: Tensor, lengths: Tensor) -> list[str]:
    """The most probable class of each frame, repeats merged, blanks dropped. log_probs (N, T, K), lengths (N,)."""
    best = _most_probable(log_probs.flatten(0, 1)).view(log_probs.shape[:2])
    characters = _characters(best, lengths)
    characters[:, 1:] *= best[:, 1:] != best[:, :-1]
    return _texts(characters)


def texts(symbols: Tensor, lengths: Tensor) -> list[str]:
    """Strings of padded classes (N, S), the first lengths (N,) of each row."""
    return _texts(_characters(symbols, lengths))


def _most_probable(log_probs: Tensor) -> Tensor:
    """argmax: (M, K) -> (M,), but on a CPU in a quarter of its time where most frames are clear, as a trained network's are.

    A class more than half probable is the most probable. Where the blank is, no other is looked at; where another is, a
    product with the classes' numbers finds it; argmax has the rest.
    """
    frames = (log_probs[:, BLANK] <= SURE).nonzero().squeeze(1)
    rows = log_probs.index_select(0, frames)
    is_sure = torch.gt(rows, SURE, out=torch.empty_like(rows))  # as float: PyTorch does not vectorise bool
    best = (is_sure @ torch.arange(1, rows.shape[1] + 1, device=rows.device, dtype=rows.dtype)).long() - 1
    unclear = (best < 0).nonzero().squeeze(1)
    best.index_copy_(0, unclear, rows.index_select(0, unclear).argmax(1))
    return torch.full_like(log_probs[:, 0], BLANK, dtype=torch.long).index_copy_(0, frames, best)


def _characters(symbols: Tensor, lengths: Tensor) -> Tensor:
    """ASCII codes (N, S) uint8; zero for a blank and beyond a row's length."""
    inside = torch.arange(symbols.shape[1], device=symbols.device) < lengths.to(symbols.device)[:, None]
    codes = torch.tensor([0, *CHARACTERS[1:].encode()], dtype=torch.uint8, device=symbols.device)
    return codes.index_select(0, symbols.where(inside, BLANK).flatten()).view_as(symbols)


def _texts(characters: Tensor) -> list[str]:
    """The non-zero characters of each row: one transfer to the host, and one string, cut at the rows' ends."""
    rows = F.pad(characters, (0, 1), value=ord("\n")).cpu().numpy()
    return rows.tobytes().translate(None, b"\0").decode().split("\n")[:-1]


def beam_search(log_probs: Sequence[np.ndarray], beam: int, cut: float, num_processes: int | None) -> list[str]:
    """Prefix beam search on each of log_probs, (T, K) float32 and of any lengths: the best strings found, in order.

    cut: classes below this probability in a frame are not followed. num_processes: None takes all cores where the work
    is worth their start.
    """
    assert 0 <= cut < 1 / NUM_CLASSES, "params.yaml is checked for it"
    if num_processes is None:
        worth_it = beam * sum(map(len, log_probs)) > WORTH_A_POOL
        num_processes = num_cores() if worth_it else 1
    search = partial(fast_ctc_decode.beam_search, alphabet=CHARACTERS, beam_size=beam, beam_cut_threshold=cut)
    emissions = [np.exp(item) for item in log_probs if len(item)]
    if num_processes == 1:
        found = [search(item) for item in emissions]
    else:
        with ProcessPoolExecutor(num_processes, multiprocessing.get_context("spawn")) as pool:
            with _bare_main():
                results = pool.map(search, emissions, chunksize=len(emissions) // (8 * num_processes) + 1)
            found = list(results)
    strings = iter(found)
    return [next(strings)[0] if len(item) else "" for item in log_probs]


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
