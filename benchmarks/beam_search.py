"""Prefix beam search: ours (fast-ctc-decode) against flashlight through torchaudio, utterances a second of one core.

    python -m benchmarks.beam_search

50 made-up emissions of 500 frames. Their highest probability is 0.95 in the mean, and two thirds of the frames are blank.
"""

from functools import partial

import torch
from torch import Tensor

from benchmarks.compare import Result, compare
from stages.tasks.speech import BLANK, CHARACTERS, NUM_CLASSES
from stages.tasks.speech.training import decode

EMISSIONS, FRAMES, BEAM, CUT = 50, 500, 10, 0.001


def make_emissions() -> Tensor:
    """Log-probabilities (N, T, K): blanks with phonemes of 1 to 3 frames between them, some frames in doubt."""
    random = torch.Generator().manual_seed(0)
    classes = torch.randint(1, NUM_CLASSES, (EMISSIONS, FRAMES), generator=random)
    classes[torch.rand(classes.shape, generator=random) < 0.7] = BLANK
    again = torch.rand(classes.shape, generator=random) < 0.3
    classes[:, 1:] = torch.where(again[:, 1:], classes[:, :-1], classes[:, 1:])
    logits = torch.randn(*classes.shape, NUM_CLASSES, generator=random)
    clear = 5 + 9 * torch.rand(*classes.shape, 1, generator=random)
    return logits.scatter_add_(2, classes.unsqueeze(2), clear).log_softmax(2)


def measure() -> list[Result]:
    """Nothing where flashlight-text is not installed."""
    try:
        from torchaudio.models.decoder import ctc_decoder

        # Flashlight puts a silence at both ends; as blank it leaves no trace.
        blank = CHARACTERS[BLANK]
        decoder = ctc_decoder(
            None, list(CHARACTERS), nbest=1, beam_size=BEAM, log_add=True, blank_token=blank, sil_token=blank
        )
    except (ImportError, RuntimeError):
        print("beam search is not compared: flashlight-text is not installed")
        return []

    def flashlight(log_probs: Tensor) -> list[str]:
        tokens = [decoder(item[None])[0][0].tokens.tolist() for item in log_probs]
        return ["".join(CHARACTERS[token] for token in item if token != BLANK) for item in tokens]

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
