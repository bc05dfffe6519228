"""What a trained run says of a user's own images: each of the ten classes and its probability."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.images import storage
from stages.images.evaluation import classification
from stages.tasks.cifar10 import SIDE, training

SUFFIXES = (".png", ".jpg", ".jpeg")


def read(content: bytes, stats: dict[str, Any]) -> np.ndarray:
    """RGB (32, 32, 3) uint8; of another size the middle square, scaled. Raises InputError without a file name."""
    try:
        return storage.decode(np.frombuffer(content, np.uint8), SIDE)
    except ValueError as error:
        raise InputError(str(error)) from None


def predict(
    model: nn.Module, items: Sequence[np.ndarray], run: Run, stats: dict[str, Any], compute: Compute
) -> list[dict[str, Any]]:
    """Of each item the most probable class, its probability, and the probabilities of all."""
    return classification.answer(model, training.forward, items, stats, compute, flip_average=run.evaluate.flip_average)


def describe(answer: dict[str, Any]) -> str:
    """The three most probable classes in words."""
    return classification.describe(answer)
