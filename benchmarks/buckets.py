"""Which batches learn most? The same network, epochs and seeds, with other batches: padding, time and dev scores.

    python -m benchmarks.buckets

The sample's pblstm on the features of speech that lie in data/: of real recordings, once `tasks.speech.source` in
params.yaml names their archive and `dvc repro normalize@speech` has read it. At the run's learning rate and at half of it,
on one thread. An hour and a half for AN4; prints every dev score, and a table.
"""

import statistics
import time
from typing import Any

import numpy as np
import torch

from benchmarks.learning import RandomBatches, learn
from benchmarks.stages_at_scale import read_run
from stages.compute import device
from stages.core import paths
from stages.sequences.training.batches import SequenceBatches
from stages.tasks import part

SEEDS = range(8)  # of three, two kinds that learn alike have differed by more than their deviations


class Similar(SequenceBatches):
    """Of sequences of similar length alone: buckets, as they are usually made. For a fixed `batch_size`."""

    def num_long(self, size: Any) -> Any:
        return size


KINDS = {
    "half long, half short ones, as the engine makes them": SequenceBatches,
    "similar lengths": Similar,
    "any lengths": RandomBatches,
}


def padding(batches: SequenceBatches) -> float:
    """The part of the frames of an epoch that is padding."""
    lengths = [batches.lengths[places] for places in batches.batches(0)]
    return 1 - sum(map(np.sum, lengths)) / sum(len(batch) * batch.max() for batch in lengths)


def main() -> None:
    torch.set_num_threads(1)
    run = read_run("pblstm", "sample")  # for the network's size; the features are those that are there
    place, lr = device.choose("auto", "auto", deterministic=True), float(run.optimizer.lr)
    rows = []
    for name, kind in KINDS.items():
        batches = part("speech", "training").train_batches(paths.features("speech"), run, place, seed=0)
        batches.__class__ = kind
        began, cells = time.process_time(), []
        for rate in (lr, lr / 2):
            scores = [learn(run, place, seed, rate, kind) for seed in SEEDS]
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
