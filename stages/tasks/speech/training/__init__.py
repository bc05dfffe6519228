"""Training on speech: model, batches, CTC and Levenshtein distance. N T F, K classes."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.sequences import storage
from stages.sequences.training.batches import SequenceBatch, SequenceBatches
from stages.tasks.speech import BLANK, MEL_BANDS, NUM_CLASSES
from stages.tasks.speech.settings import Loss
from stages.tasks.speech.statistics import Stats
from stages.tasks.speech.training import decode
from stages.training.protocol import Score

SCORE = Score("distance", higher_is_better=False)
TRAIN_METRIC = "zeroed"  # the share of utterances with too few frames for their phonemes, whose loss is set to zero


class Output(NamedTuple):
    """log_probs (N, T, K) float32; lengths (N,), in output frames."""

    log_probs: Tensor
    lengths: Tensor


def build_model(run: Run, stats: Stats) -> nn.Module:
    """Build the run's network for the data's number of features. Raises InputError for a part of the mel bands of 2021."""
    wanted = run.model.features
    if stats.num_features == MEL_BANDS and wanted not in (None, MEL_BANDS):
        raise InputError(f"model.features: the first {wanted} of {MEL_BANDS} mel bands are only low pitches; give null")
    module = import_module(f"stages.sequences.models.{run.model.name}")
    model: nn.Module = module.Model(stats.num_features, NUM_CLASSES, **run.model.arguments)
    return model


def example(stats: Stats) -> tuple[Tensor, Tensor]:
    """Return an example input of the model, two seconds long."""
    return torch.zeros(1, 200, stats.num_features), torch.tensor([200])


def train_batches(features: Path, run: Run, compute: Compute, seed: int) -> SequenceBatches:
    """Return masked training batches, half long and half short, in a random order per epoch.

    With train.final they include dev.
    """
    return _batches(features, run.train.splits, run, compute, seed, run.augment)


def eval_batches(features: Path, split: str, run: Run, compute: Compute) -> SequenceBatches:
    """Return batches of a split without masks, from the longest to the shortest."""
    return _batches(features, [split], run, compute, 0, None)


def _batches(features: Path, splits: list[str], run: Run, compute: Compute, seed: int, augment: Any) -> SequenceBatches:
    folders = [features / split for split in splits]
    frames = [storage.read_frames(folder) for folder in folders]
    transcripts = [found for folder in folders if (found := storage.read_transcripts(folder)) is not None]
    return SequenceBatches(
        storage.Joined(frames) if len(frames) > 1 else frames[0],
        storage.Joined(transcripts) if len(transcripts) > 1 else next(iter(transcripts), None),
        [name for folder in folders for name in storage.read_names(folder)],
        batch_size=run.batch_size,
        device=compute.device,
        seed=seed,
        augment=augment,
        num_used=run.model.features,
    )


def forward(model: nn.Module, batch: SequenceBatch) -> Output:
    """Return log-probabilities in float32, whatever the precision."""
    logits, lengths = model(batch.inputs, batch.lengths)
    return Output(logits.float().log_softmax(2), lengths)


def loss(output: Output, batch: SequenceBatch, settings: Loss) -> Tensor:
    """Return the CTC loss (Graves et al. 2006) of each utterance per phoneme, (N,); zero if there are too few frames."""
    log_probs, device = output.log_probs.transpose(0, 1), output.log_probs.device
    if device.type == "cuda" and torch.is_grad_enabled() and torch.are_deterministic_algorithms_enabled():
        log_probs = log_probs.cpu()  # the GPU's backward pass sums in no fixed order
    losses = F.ctc_loss(
        log_probs,
        batch.targets.to(log_probs.device),
        output.lengths.to(log_probs.device),
        batch.target_lengths.to(log_probs.device),
        blank=BLANK,
        reduction="none",
        zero_infinity=True,
    )
    return losses.to(device) / batch.target_lengths.clamp(min=1)


def train_metric(output: Output, batch: SequenceBatch) -> Tensor:
    """Return 1 for each utterance with fewer frames than phonemes and blanks between repeated ones, else 0: (N,)."""
    repeats = (batch.targets[:, 1:] == batch.targets[:, :-1]) & (batch.targets[:, 1:] != BLANK)
    return (output.lengths < batch.target_lengths + repeats.sum(1)).float()


def check_epoch(train_metric: float) -> None:
    """Raises InputError if all losses of an epoch were zeroed, so that nothing was learnt although the loss is 0."""
    if train_metric == 1:
        raise InputError(
            "every transcript has more phonemes than the network has output frames, so nothing can be learnt: the "
            "transcripts do not belong to these frames, or the network shortens its input too much"
        )


def score(output: Output, batch: SequenceBatch) -> Tensor:
    """Return the Levenshtein distance of each greedily decoded utterance to its transcript: (N,)."""
    predicted = decode.greedy(output.log_probs, output.lengths)
    true = decode.texts(batch.targets, batch.target_lengths)
    return torch.tensor(decode.distances(predicted, true), dtype=torch.float32, device=output.log_probs.device)
