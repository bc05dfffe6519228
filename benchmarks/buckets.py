"""What do batches of similar lengths cost? The same network, epochs and seeds, with other batches: padding and dev scores.

    python -m benchmarks.buckets

The sample's pblstm on the features of speech that lie in data/: of real recordings, once `tasks.speech.source` in
params.yaml names their archive and `dvc repro normalize@speech` has read it. A quarter of an hour for AN4; prints a table.
"""

import statistics
import tempfile
from pathlib import Path
from unittest.mock import patch

import numpy as np
from ruamel.yaml import YAML

from benchmarks.learning import RandomBatches, learn
from benchmarks.stages_at_scale import read_params
from stages.engine import compute, paths, sequences
from stages.engine.sequences import SequenceBatches
from stages.tasks import load_params, part

SEEDS = range(3)


class Halves(SequenceBatches):
    """Half of a batch of similar long ones, half of similar short ones."""

    def batches(self, epoch: int) -> list[np.ndarray]:
        random = np.random.default_rng((self.seed, epoch))
        changed = self.lengths * (1 + sequences.JITTER * (random.random(self.num_items) - 0.5))
        halves = np.array_split(np.argsort(-changed, kind="stable"), 2 * len(self))
        batches = [np.concatenate((halves[number], halves[-1 - number])) for number in range(len(self))]
        return [batches[number] for number in random.permutation(len(batches))]


KINDS = {  # and by how much lengths are changed before they are sorted: 0.1 for up to 5 %
    "similar lengths": (SequenceBatches, sequences.JITTER),
    "similar lengths, after a change by up to 50 %": (SequenceBatches, 1.0),
    "any lengths": (RandomBatches, 0.0),
    "half of similar long, half of similar short ones": (Halves, sequences.JITTER),
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
    for name, (kind, jitter) in KINDS.items():
        batches = part("speech", "task").train_batches(paths.features("speech"), run, place, seed=0)
        batches.__class__ = kind
        with patch.object(sequences, "JITTER", jitter):
            padded, scores = padding(batches), [learn(run, place, seed, lr, kind) for seed in SEEDS]
        print(f"| {name} | {padded:.0%} | {statistics.mean(scores):.2f} ± {statistics.stdev(scores):.2f} |", flush=True)


if __name__ == "__main__":
    main()
