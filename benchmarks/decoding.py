"""Decoding: greedily against two loops over utterances, with a beam against flashlight; utterances a core-second.

    python -m benchmarks.decoding

Made-up emissions of 500 frames, their highest probability 0.95 in the mean, two thirds of them blank; beam search on 50 of
the 1,310. Greedy decoding gives the same strings as both loops: the decoder of torchaudio's tutorial, and a loop that turns
an utterance's classes into a list before it walks over them. What argmax alone takes is measured as well, as it is what
greedy decoding cannot do without. One thread, in turn.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.compare import Result, compare
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES
from stages.tasks.speech.training import decode

EMISSIONS, BEAM_EMISSIONS, FRAMES, BATCH = 1_310, 50, 500, 64
BEAM, CUT = 10, 0.001


def make_emissions() -> Tensor:
    """Log-probabilities (N, T, K): blanks with phonemes of 1 to 3 frames between them, some frames in doubt."""
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(1, NUM_CLASSES, (EMISSIONS, FRAMES), generator=random)
    classes[torch.rand(classes.shape, generator=random) < 0.7] = BLANK
    again = torch.rand(classes.shape, generator=random) < 0.3
    classes[:, 1:] = torch.where(again[:, 1:], classes[:, :-1], classes[:, 1:])
    logits = torch.randn(*classes.shape, NUM_CLASSES, generator=random)
    clear = 5 + 9 * torch.rand(*classes.shape, 1, generator=random)
    log_probs = logits.scatter_add_(2, classes.unsqueeze(2), clear).log_softmax(2)
    top = float(log_probs.amax(2).exp().mean())
    assert 0.94 < top < 0.96, top
    return log_probs


def tutorial_loop(log_probs: Tensor) -> list[str]:
    """pytorch.org/audio's "ASR Inference with CTC Decoder" (GreedyCTCDecoder)."""
    found = []
    for emission in log_probs:
        indices: Any = torch.argmax(emission, dim=-1)
        indices = torch.unique_consecutive(indices, dim=-1)
        indices = [i for i in indices if i != BLANK]
        found.append("".join([CHARACTERS[i] for i in indices]))
    return found


def list_loop(log_probs: Tensor) -> list[str]:
    found = []
    for emission in log_probs:
        groups = itertools.groupby(emission.argmax(1).tolist())
        found.append("".join(CHARACTERS[index] for index, _ in groups if index != BLANK))
    return found


def argmax_alone(log_probs: Tensor) -> list[Tensor]:
    return [best for part in log_probs.split(BATCH) for best in part.argmax(2)]


def greedy_batches(log_probs: Tensor) -> list[str]:
    parts = log_probs.split(BATCH)
    return [text for part in parts for text in decode.greedy(part, torch.full((len(part),), FRAMES))]


def flashlight() -> Callable[[Tensor], list[str]] | None:
    """The same search by flashlight, without a lexicon or a language model; None if it is not installed."""
    try:
        from torchaudio.models.decoder import ctc_decoder

        # Flashlight puts a sil at both ends; as blank it leaves no trace.
        blank = CHARACTERS[BLANK]
        decoder = ctc_decoder(
            None, list(CHARACTERS), nbest=1, beam_size=BEAM, log_add=True, blank_token=blank, sil_token=blank
        )
    except (ImportError, RuntimeError):
        return None

    def search(log_probs: Tensor) -> list[str]:
        tokens = [decoder(item[None])[0][0].tokens.tolist() for item in log_probs]
        return ["".join(CHARACTERS[token] for token in item if token != BLANK) for item in tokens]

    return search


def measure() -> list[Result]:
    def count(function: Callable[[Any], Sequence[Any]], given: Any, _: int) -> int:
        return len(function(given))

    log_probs = make_emissions()
    strings = greedy_batches(log_probs)
    assert strings == list_loop(log_probs) and strings[:100] == tutorial_loop(log_probs[:100])
    ours = partial(count, greedy_batches, log_probs)
    few = partial(count, tutorial_loop, log_probs[:200])
    results = [
        compare("greedy decoding", "utterances", ours, few, "the loop of torchaudio's tutorial", 50),
        compare("greedy decoding", "utterances", ours, partial(count, list_loop, log_probs), "a loop over lists"),
        compare("greedy decoding", "utterances", ours, partial(count, argmax_alone, log_probs), "argmax alone"),
    ]
    log_probs = log_probs[:BEAM_EMISSIONS].clone()
    search, arrays = flashlight(), list(log_probs.numpy())
    if search is None:
        print(f"beam {BEAM}: flashlight-text is not installed")
        return results
    beam = partial(decode.beam_search, beam=BEAM, cut=CUT, num_processes=1)
    same = sum(mine == theirs for mine, theirs in zip(beam(arrays), search(log_probs), strict=True)) / len(arrays)
    assert same > 0.9, f"only {same:.0%} of the strings are the same"
    sides = partial(count, beam, arrays), partial(count, search, log_probs)
    return [*results, compare(f"beam {BEAM}", "utterances", *sides, "flashlight through torchaudio", 3)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure()
