"""What a trained run says of a user's own recordings: phonemes and when they were heard. T frames, F features, K classes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.sequences.training.batches import SequenceBatch
from stages.tasks.speech import BLANK, CHARACTERS, MEL_BANDS, SYMBOLS, raw, training
from stages.tasks.speech.raw.audio import HOP, RATE
from stages.tasks.speech.raw.item import Problem
from stages.tasks.speech.training import decode

SUFFIXES = (".wav", ".flac", ".npy")
SECONDS_PER_FRAME = HOP / RATE  # of the competitions' MFCCs as well


@dataclass(frozen=True)
class Phoneme:
    """time: the second at which it was heard. character: what stands for it in a string."""

    time: float
    arpabet: str
    character: str


@dataclass(frozen=True)
class Phonemes:
    """What was heard in a recording: as a string, as ARPAbet, and one by one."""

    predicted: str
    arpabet: str
    phonemes: list[Phoneme]


def read(content: bytes, stats: dict[str, Any]) -> np.ndarray:
    """Normalised features (T, F) float32 of a wav or flac file at any rate, or of a competition's .npy file.

    Audio becomes the MFCCs of the stage normalize, which need not be those of a competition's own files. Of more
    coefficients than the run was trained on the first are taken: the MFCCs of 13 coefficients are the first of 27. The mel
    bands of 2021 are no coefficients: they have to be as many.
    Raises InputError without a file name.
    """
    try:
        frames = raw.features(content)
    except Problem as problem:
        raise InputError(str(problem)) from None
    found, wanted = frames.shape[1], stats["num_features"]
    if found < wanted or (found == MEL_BANDS and found != wanted):
        if raw.is_array(content):
            raise InputError(f"has {found} coefficients, but the run was trained on {wanted}")
        made = f"is a recording, of which {found} MFCCs are made, but the run was trained on {wanted} features a frame"
        raise InputError(f"{made}; give these as a .npy file")
    return np.ascontiguousarray(frames[:, :wanted])


@torch.no_grad()
def predict(
    model: nn.Module, items: Sequence[np.ndarray], run: Run, stats: dict[str, Any], compute: Compute
) -> list[Phonemes]:
    """What was heard in each item.

    The string is that of beam search as in the test split: nobody knows these recordings' transcripts either.
    """
    model.eval()
    found = [_log_probs(model, torch.from_numpy(item), compute) for item in items]
    texts = decode.beam_search([item.numpy() for item in found], run.evaluate.test_beam, run.evaluate.cut, None)
    frames = training.example(stats)[0][0]
    seconds = len(frames) / len(_log_probs(model, frames, compute)) * SECONDS_PER_FRAME  # a frame of the network's own
    return [_answer(log_probs, text, seconds) for log_probs, text in zip(found, texts, strict=True)]


def _log_probs(model: nn.Module, frames: Tensor, compute: Compute) -> Tensor:
    """(T, F) -> (T', K) float32 on the CPU, T' the network's own frames."""
    none = torch.zeros(1, 0, dtype=torch.int64, device=compute.device)
    lengths = torch.tensor([len(frames)], device=compute.device)
    batch = SequenceBatch(frames[None].to(compute.device), lengths, none, lengths.new_zeros(1), torch.zeros(1))
    with compute.autocast():
        output = training.forward(model, batch)
    return output.log_probs[0, : int(output.lengths[0])].cpu()


def _answer(log_probs: Tensor, text: str, seconds: float) -> Phonemes:
    classes = [CHARACTERS.index(character) for character in text]
    symbols = [SYMBOLS[index] for index in classes]
    times = [round(frame * seconds, 2) for frame in first_frames(log_probs, classes)]
    heard = zip(times, symbols, text, strict=True)
    return Phonemes(text, " ".join(symbols), [Phoneme(*each) for each in heard])


def first_frames(log_probs: Tensor, classes: Sequence[int]) -> list[int]:
    """The frame at which each of `classes` begins on the most probable path through log_probs (T, K) that spells them.

    The frames that beam search gives are those at which it first thought of a symbol, at the probability `cut` and up,
    which may be long before the network is sure of it.
    """
    if not classes:
        return []
    import torchaudio.functional

    targets = torch.tensor([classes], dtype=torch.int32)
    path = torchaudio.functional.forced_align(log_probs[None], targets, blank=BLANK)[0][0].tolist()
    return [frame for frame, (before, here) in enumerate(pairwise([BLANK, *path])) if here not in (BLANK, before)]


def describe(answer: Phonemes) -> str:
    """The string, and below it each phoneme after its second."""
    heard = "  ".join(f"{phoneme.time:.2f}\N{NO-BREAK SPACE}{phoneme.arpabet}" for phoneme in answer.phonemes)
    lines = textwrap.wrap(heard, 100, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([answer.predicted or "no phonemes", *lines]).replace("\N{NO-BREAK SPACE}", " ")
