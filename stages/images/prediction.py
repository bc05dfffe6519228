"""A trained classifier's answers for a user's images: the most probable classes and their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.images import storage
from stages.images.evaluation.classification import averaged, log_probabilities
from stages.images.raw.image import Problem, header
from stages.images.statistics import ImageStats
from stages.images.training.batches import ImageBatch, normalize

SUFFIXES = (".png", ".jpg", ".jpeg")
NUM_CLASSES = 10  # the most in an answer: all of CIFAR-10's, the top ones of thousands of identities


@dataclass(frozen=True)
class Classes:
    """The most probable class of an image, its probability, and the probabilities of the top classes, descending."""

    predicted: str
    probability: float
    probabilities: dict[str, float]


def read(content: bytes, stats: ImageStats) -> np.ndarray:
    """Decode an image as RGB (side, side, 3) uint8, cropped to the middle square and scaled if its size differs.

    Raises InputError, without a file name.
    """
    try:
        header(content).check_size(stats.side)
        return storage.decode(np.frombuffer(content, np.uint8), stats.side)
    except (Problem, ValueError) as error:
        raise InputError(str(error)) from None


@torch.no_grad()
def predict(model: nn.Module, inputs: Sequence[np.ndarray], run: Run, stats: ImageStats, compute: Compute) -> list[Classes]:
    """Classify images (side, side, 3) uint8."""
    model.eval()
    log_probs = averaged(log_probabilities(model, as_batch(inputs, stats, compute), compute, run.evaluate.views))
    best = log_probs.exp().sort(descending=True, stable=True)
    answers = []
    for values, labels in zip(best.values[:, :NUM_CLASSES].tolist(), best.indices[:, :NUM_CLASSES].tolist(), strict=True):
        probabilities = {stats.classes[label]: value for label, value in zip(labels, values, strict=True)}
        answers.append(Classes(stats.classes[labels[0]], values[0], probabilities))
    return answers


def describe(answer: Classes) -> str:
    """Return the three most probable classes in words."""
    return ", ".join(f"{name} {value:.1%}" for name, value in list(answer.probabilities.items())[:3])


def as_batch(images: Sequence[np.ndarray], stats: ImageStats, compute: Compute) -> ImageBatch:
    """Make a batch of images (H, W, 3) uint8 of one size and of unknown class."""
    mean, std = (torch.tensor(values, device=compute.device) for values in (stats.mean, stats.std))
    inputs = normalize(torch.from_numpy(np.stack(images)).to(compute.device), mean, std)
    return ImageBatch(inputs, torch.full((len(images),), -1, device=compute.device), torch.arange(len(images)))
