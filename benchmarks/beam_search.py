"""Prefix beam search: ours (fast-ctc-decode) against flashlight through torchaudio, in utterances per core-second.

    python -m benchmarks.beam_search

50 synthetic emissions of 500 frames, with a mean highest probability of 0.95 and two thirds blank frames.
"""

from functools import partial

import torch
from torch import Tensor

from benchmarks.compare import Result, compare
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES
from stages.tasks.speech.training import decode

EMISSIONS, FRAMES, BEAM, CUT = 50, 500, 10, 0.001


def make_emissions() -> Tensor:
    """Return log-probabilities (N, T, K): blanks with phonemes of 1 to 3 frames in between, some frames uncertain."""
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(1, NUM_CLASSES, (EMISSIONS, FRAMES), generator=random)
    classes[torch.rand(classes.shape, generator=random) < 0.7] = BLANK
    repeated = torch.rand(classes.shape, generator=random) < 0.3
    classes[:, 1:] = torch.where(repeated[:, 1:], classes[:, :-1], classes[:, 1:])
    logits = torch.randn(*classes.shape, NUM_CLASSES, generator=random)
    margin = 5 + 9 * torch.rand(*classes.shape, 1, generator=random)
    return logits.scatter_add_(2, classes.unsqueeze(2), margin).log_softmax(2)


def measure() -> list[Result]:
    """Compare both; no results if flashlight-text is not installed."""
    try:
        from torchaudio.models.decoder import ctc_decoder

        # Flashlight adds a silence at both ends; as the blank it disappears.
        blank = CHARACTERS[BLANK]
        decoder = ctc_decoder(
            None, list(CHARACTERS), nbest=1, beam_size=BEAM, log_add=True, blank_token=blank, sil_token=blank
        )
    except (ImportError, RuntimeError):
        print("beam search is not compared: flashlight-text is not installed")
        return []

    def flashlight(log_probs: Tensor) -> list[str]:
        rows = [decoder(emissions[None])[0][0].tokens.tolist() for emissions in log_probs]
        return ["".join(CHARACTERS[token] for token in tokens if token != BLANK) for tokens in rows]

    log_probs = make_emissions()
    arrays = list(log_probs.numpy())
    search = partial(decode.beam_search, arrays, BEAM, CUT, num_processes=1)
    same = sum(mine == theirs for mine, theirs in zip(search(), flashlight(log_probs), strict=True)) / EMISSIONS
    assert same > 0.9, f"only {same:.0%} of the strings are the same"
    ours, usual = lambda _: len(search()), lambda _: len(flashlight(log_probs))
    return [compare(f"beam search, beam {BEAM}", "utterances", ours, usual, "flashlight through torchaudio")]


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure()
