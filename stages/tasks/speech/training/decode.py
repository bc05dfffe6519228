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

from stages.core.machine import num_cores
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES

# Frames times beam that one process searches in about 2 s without a cut; starting a pool takes 0.3 s.
WORTH_A_POOL = 1_000_000
SURE = math.log(0.501)  # not 0.5, so that rounding cannot make two classes so probable
AT_ONCE = 8192  # frames; with what is computed of them they stay in a core's caches, and their memory is used again


def greedy(log_probs: Tensor, lengths: Tensor) -> list[str]:
    """The most probable class of each frame, repeats merged, blanks dropped. log_probs (N, T, K), lengths (N,)."""
    codes = _codes(log_probs.device)[: log_probs.shape[2]]
    best = _most_probable(log_probs.flatten(0, 1), codes).view(log_probs.shape[:2])
    keep = _inside(best, lengths)
    keep[:, 1:] &= best[:, 1:] != best[:, :-1]
    return _texts(best * keep)


def texts(symbols: Tensor, lengths: Tensor) -> list[str]:
    """Strings of padded classes (N, S), the first lengths (N,) of each row."""
    kept = symbols.where(_inside(symbols, lengths), BLANK)
    return _texts(_codes(symbols.device).index_select(0, kept.flatten()).view_as(kept))


def _codes(device: torch.device) -> Tensor:
    """The classes' ASCII codes (K,) uint8."""
    return torch.tensor(list(CHARACTERS.encode()), dtype=torch.uint8, device=device)


def _inside(symbols: Tensor, lengths: Tensor) -> Tensor:
    """Whether a place of symbols (N, S) is within its row's length."""
    return torch.arange(symbols.shape[1], device=symbols.device) < lengths.to(symbols.device)[:, None]


def _most_probable(log_probs: Tensor, codes: Tensor) -> Tensor:
    """codes[argmax]: (M, K) -> (M,), on a CPU in a third of its time where most frames are clear, as after training.

    There a class more than half probable is the most probable, and a product with the codes says which; argmax, which does
    not vectorise over so few classes, has the frames without one.
    """
    if log_probs.device.type != "cpu":
        return codes.index_select(0, log_probs.argmax(1))
    weights, sums = codes.to(log_probs.dtype), log_probs.new_empty(len(log_probs))
    is_sure = torch.empty_like(log_probs[:AT_ONCE])  # as float: PyTorch does not vectorise bool
    for part, out in zip(log_probs.split(AT_ONCE), sums.split(AT_ONCE), strict=True):
        torch.mv(torch.gt(part, SURE, out=is_sure[: len(part)]), weights, out=out)
    best = sums.to(torch.uint8)
    unclear = torch.from_numpy(np.flatnonzero(best.numpy() == 0))  # a fifth of the time of torch's nonzero
    return best.index_copy_(0, unclear, codes.index_select(0, log_probs.index_select(0, unclear).argmax(1)))


def _texts(characters: Tensor) -> list[str]:
    """ASCII codes (N, S) without blanks and zeros: one transfer to the host, and one string, cut at the rows' ends."""
    rows = F.pad(characters, (0, 1), value=ord("\n")).cpu().numpy()
    return rows.tobytes().translate(None, b"\0" + CHARACTERS[BLANK].encode()).decode().split("\n")[:-1]


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
