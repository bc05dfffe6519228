"""A trained run's answers for a user's recordings: phonemes and their times. T frames, F features, K classes."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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
from stages.tasks.speech.statistics import Stats
from stages.tasks.speech.training import decode

SUFFIXES = (".wav", ".flac", ".npy")
SECONDS_PER_FRAME = HOP / RATE  # also of the competitions' MFCCs


@dataclass(frozen=True)
class Phoneme:
    """time: its start in seconds. character: its character in a string."""

    time: float
    arpabet: str
    character: str


@dataclass(frozen=True)
class Phonemes:
    """The phonemes in a recording: as a string, as ARPAbet, and one by one."""

    predicted: str
    arpabet: str
    phonemes: list[Phoneme]


def read(content: bytes, stats: Stats) -> np.ndarray:
    """Read normalised features (T, F) float32 from a wav or flac file at any rate, or a competition's .npy file.

    Audio becomes MFCCs as in the stage normalize, which may differ from those of a competition. If there are more
    coefficients than in training, the first ones are used, as 13 MFCCs are the first 13 of 27. The number of mel bands
    (2021) must be equal. Raises InputError, without a file name.
    """
    try:
        frames = raw.features(content)
    except Problem as problem:
        raise InputError(str(problem)) from None
    found, wanted = frames.shape[1], stats.num_features
    if found < wanted or (found == MEL_BANDS and found != wanted):
        if raw.is_array(content):
            raise InputError(f"has {found} coefficients, but the run was trained on {wanted}")
        reason = f"is a recording with {found} MFCCs a frame, but the run was trained on {wanted} features a frame"
        raise InputError(f"{reason}; give these as a .npy file")
    return np.ascontiguousarray(frames[:, :wanted])


@torch.no_grad()
def predict(model: nn.Module, inputs: Sequence[np.ndarray], run: Run, stats: Stats, compute: Compute) -> list[Phonemes]:
    """Recognise utterances (T, F) float32, decoded by beam search like the test split."""
    model.eval()
    found = [_log_probs(model, torch.from_numpy(utterance), compute) for utterance in inputs]
    texts = decode.beam_search([log_probs.numpy() for log_probs in found], run.evaluate.beam, run.evaluate.cut, None)
    frames = training.example(stats)[0][0]
    seconds = len(frames) / len(_log_probs(model, frames, compute)) * SECONDS_PER_FRAME  # per output frame
    return [_answer(log_probs, text, seconds) for log_probs, text in zip(found, texts, strict=True)]


def _log_probs(model: nn.Module, frames: Tensor, compute: Compute) -> Tensor:
    """(T, F) -> (T', K) float32 on the CPU, with T' output frames."""
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
    return Phonemes(text, " ".join(symbols), [Phoneme(*phoneme) for phoneme in zip(times, symbols, text, strict=True)])


def first_frames(log_probs: Tensor, classes: Sequence[int]) -> list[int]:
    """Return the first frame of each of `classes` on the most probable path through log_probs (T, K) that spells them.

    Beam search gives the frames at which a symbol first reached the probability `cut`, often long before its real start.
    """
    if not classes:
        return []
    import torchaudio.functional

    targets = torch.tensor([classes], dtype=torch.int32)
    path = torchaudio.functional.forced_align(log_probs[None], targets, blank=BLANK)[0][0].tolist()
    return [frame for frame, (last, current) in enumerate(pairwise([BLANK, *path])) if current not in (BLANK, last)]


def describe(answer: Phonemes) -> str:
    """Return the string, and below it each phoneme after its time."""
    timed = "  ".join(f"{phoneme.time:.2f}\N{NO-BREAK SPACE}{phoneme.arpabet}" for phoneme in answer.phonemes)
    lines = textwrap.wrap(timed, 100, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([answer.predicted or "no phonemes", *lines]).replace("\N{NO-BREAK SPACE}", " ")
