"""What do batches of similar lengths cost? The same network, epochs and seeds, with other batches: padding and dev scores.

    python -m benchmarks.buckets

The sample's pblstm on the features of speech that lie in data/: of real recordings, once `tasks.speech.source` in
params.yaml names their archive and `dvc repro normalize@speech` has read it. A quarter of an hour for AN4; prints a table.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

from benchmarks.learning import RandomBatches, learn
from benchmarks.stages_at_scale import read_params
from stages.engine import compute, paths, sequences
from stages.engine.sequences import SequenceBatches
from stages.tasks import load_params, part

SEEDS = range(3)


class Wide(SequenceBatches):
    """Sorted by lengths that were changed by up to a half."""

    def batches(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng((self.seed, epoch))
        changed = self.lengths * (1 + random.random(self.num_items) - 0.5)
        parts = np.split(np.argsort(-changed, kind="stable"), self._ends[:-1])
        return [parts[number] for number in random.permutation(len(parts))]


class Halves(SequenceBatches):
    """Half of a batch of similar long ones, half of similar short ones."""

    def batches(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng((self.seed, epoch))
        changed = self.lengths * (1 + sequences.JITTER * (random.random(self.num_items) - 0.5))
        halves = np.array_split(np.argsort(-changed, kind="stable"), 2 * len(self))
        batches = [np.concatenate((halves[number], halves[-1 - number])) for number in range(len(self))]
        return [batches[number] for number in random.permutation(len(batches))]


KINDS = {
    "similar lengths": SequenceBatches,
    "similar lengths, after a change by up to 50 %": Wide,
    "any lengths": RandomBatches,
    "half of similar long, half of similar short ones": Halves,
}


def padding(batches: SequenceBatches) -> float:
    """The part of the frames of an epoch that is padding."""
    lengths = [batches.lengths[places] for places in batches.batches(0)]
    return 1 - sum(map(np.sum, lengths)) / sum(len(batch) * batch.max() for batch in lengths)


def main() -> None:
    params = read_params()
    params["tasks"]["speech"]["source"] = "sample"  # for the network's size; the features are those that are there
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "params.yaml")
        YAML(typ="safe").dump(params, file)
        run = load_params(file).run("pblstm")
    place, lr = compute.choose("auto", "auto", deterministic=True), float(run.optimizer.lr)
    print("| batches of | padding | distance on dev |\n|---|--:|--:|")
    for name, kind in KINDS.items():
        batches = part("speech", "task").train_batches(paths.features("speech"), run, place, seed=0)
        batches.__class__ = kind
        scores = [learn(run, place, seed, lr, kind) for seed in SEEDS]
        spread = f"{statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f}"
        print(f"| {name} | {padding(batches):.0%} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
