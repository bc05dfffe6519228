"""Compare kinds of batches with the same network, epochs and seeds: padding, time and dev scores.

    python -m benchmarks.buckets

The sample's pblstm on the speech features in data/, at the run's learning rate and at half of it, on one thread. For real
recordings, set `tasks.speech.source` in params.yaml and run `dvc repro normalize@speech` first. An hour and a half for AN4;
prints every dev score and a table.
"""

import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.learning import RandomBatches, learn
from stages.compute import device
from stages.core import paths
from stages.sequences.training.batches import SequenceBatches
from stages.tasks import load_params, task_module

SEEDS = range(8)  # with three seeds, equal kinds have differed by more than their deviations


class Similar(SequenceBatches):
    """Batches of similar lengths, the usual buckets. For a fixed `batch_size`."""

    def num_long(self, size: Any) -> Any:
        return size


KINDS = {
    "half long, half short ones, as in training": SequenceBatches,
    "similar lengths": Similar,
    "any lengths": RandomBatches,
}


def padding(batches: SequenceBatches) -> float:
    """Return the share of padding in the frames of an epoch."""
    lengths = [batches.lengths[indices] for indices in batches.batches(0)]
    return 1 - sum(map(np.sum, lengths)) / sum(len(batch) * batch.max() for batch in lengths)


def main() -> None:
    torch.set_num_threads(1)
    run = load_params().run("pblstm")
    compute, lr = device.choose("auto", "auto", deterministic=True), float(run.optimizer.lr)
    rows = []
    for name, kind in KINDS.items():
        batches = task_module("speech", "training").train_batches(paths.features("speech"), run, compute, seed=0)
        batches.__class__ = kind
        began, cells = time.process_time(), []
        for rate in (lr, lr / 2):
            scores = [learn(run, compute, seed, rate, kind) for seed in SEEDS]
            print(f"{name}, learning rate {rate:g}: {', '.join(f'{score:.4f}' for score in scores)}", flush=True)
            cells.append(f"{statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f}")
        minutes = (time.process_time() - began) / 60 / len(SEEDS) / 2
        rows.append(f"| {name} | {padding(batches):.0%} | {cells[0]} | {cells[1]} | {minutes:.1f} |")
    print(
        f"| batches of | padding | distance at {lr:g} | at {lr / 2:g} | core-minutes a training |",
        "|---|--:|--:|--:|--:|",
        *rows,
        sep="\n",
    )


if __name__ == "__main__":
    main()
