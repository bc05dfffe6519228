"""CIFAR-10 batches, augmented and normalised: batched on tensors against albumentations, images per core-second.

    python -m benchmarks.augment

Both sides draw from the same distribution (tests/engine/test_augment.py), in this process, on one thread, in turn.
"""

from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.compare import compare
from stages.engine.batches import DeviceBatches, WorkerBatches
from stages.tasks import load_params

NUM = 5_000


def load(batches: DeviceBatches | WorkerBatches, epoch: int) -> int:
    """One epoch's batches; returns how many images were in them."""
    return sum(len(batch.targets) for batch in batches.epoch(epoch))


def main() -> None:
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (NUM, 32, 32, 3), np.uint8)
    settings: dict[str, Any] = dict(batch_size=512, device=torch.device("cpu"), mean=[120.0] * 3, std=[60.0] * 3, seed=0)
    for name, run in load_params().runs.items():
        if run.task == "cifar10":
            batched, workers = (
                partial(load, kind(pixels, np.zeros(NUM, np.int64), [""] * NUM, augment=run.augment, **settings))
                for kind in (DeviceBatches, WorkerBatches)
            )
            compare(f"{name}'s augmentation, batched", "images", batched, workers, "albumentations")


if __name__ == "__main__":
    main()
