"""CIFAR-10 batches, augmented and normalised: batched on tensors against albumentations, images per core-second.

    python -m benchmarks.augment

Both sides draw from the same distribution (tests/engine/test_augment.py), in this process, on one thread, in turn.
"""

import statistics
import time
from typing import Any

import numpy as np
import torch

from stages.engine.batches import DeviceBatches, WorkerBatches
from stages.tasks import load_params

ROUNDS, NUM = 5, 5_000


def seconds(batches: DeviceBatches | WorkerBatches, epoch: int) -> float:
    """How long one epoch's batches take."""
    began = time.perf_counter()
    count = sum(len(batch.targets) for batch in batches.epoch(epoch))
    assert count == NUM
    return time.perf_counter() - began


def main() -> None:
    torch.set_num_threads(1)
    pixels = np.random.default_rng(0).integers(0, 256, (NUM, 32, 32, 3), np.uint8)
    labels, names = np.zeros(NUM, np.int64), [""] * NUM
    for name, run in load_params().runs.items():
        if run.task != "cifar10":
            continue
        settings: dict[str, Any] = {
            "batch_size": 512,
            "device": torch.device("cpu"),
            "mean": [120.0] * 3,
            "std": [60.0] * 3,
            "seed": 0,
        }
        batched = DeviceBatches(pixels, labels, names, augment=run.augment, **settings)
        workers = WorkerBatches(pixels, labels, names, augment=run.augment, **settings)
        seconds(batched, 0), seconds(workers, 0)  # imports and first calls
        pairs = [(seconds(batched, epoch), seconds(workers, epoch)) for epoch in range(1, ROUNDS + 1)]
        ours, theirs = (statistics.median(NUM / pair[side] for pair in pairs) for side in (0, 1))
        ratios = [pair[1] / pair[0] for pair in pairs]
        print(
            f"{name}'s augmentation: batched {ours:,.0f} images a core-second, albumentations {theirs:,.0f}; "
            f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}, {ROUNDS} rounds)"
        )


if __name__ == "__main__":
    main()
