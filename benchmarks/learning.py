"""Compare the dev scores of fast and plain training with the same data, epochs and seeds.

    python -m benchmarks.learning

Each run's own training (`stages.training.loop`), after `dvc repro` of the sample data. Fast: bf16, images augmented in
batches on the device, batches of half long and half short sequences. Plain: float32, albumentations in processes, random
batches. Below 2 or so, Welch's t of the two means is within the variation between seeds.

Half an hour on two cores; writes benchmarks/results/speed/learning.json and prints the table of docs/PERFORMANCE.md.
"""

import json
import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import machine
from stages.compute import device
from stages.config.schema import Run
from stages.core import paths
from stages.sequences.training.batches import SequenceBatches
from stages.tasks import load_params, task_module
from stages.training.loop import Trainer
from stages.training.recorder import NullRecorder
from stages.training.resume import Resume

SEEDS = range(5)
RUNS = ("custom_resnet", "dilated_net", "resnet50", "pblstm", "bilstm")
OUT = Path(__file__).parent / "results/speed/learning.json"


class RandomBatches(SequenceBatches):
    """Training batches of random sequences, whatever their lengths. For a fixed `batch_size`."""

    def batches(self, epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng((self.seed, epoch)).permutation(self.num_items)
        return np.split(order, np.cumsum(self.sizes)[:-1])


@dataclass(frozen=True)
class Comparison:
    """A run's dev scores, one per seed. score: their name."""

    run: str
    score: str
    fast: list[float]
    plain: list[float]

    @property
    def t(self) -> float:
        """Welch 1947, Biometrika 34: the difference of the means over its standard error."""
        squares = [statistics.variance(side) / len(side) for side in (self.fast, self.plain)]
        return (statistics.mean(self.fast) - statistics.mean(self.plain)) / math.sqrt(sum(squares))

    def __str__(self) -> str:
        cells = [f"{statistics.mean(side):.4f} ± {statistics.stdev(side):.4f}" for side in (self.fast, self.plain)]
        return f"| {self.run} | {self.score} | {cells[0]} | {cells[1]} | {self.t:+.1f} |"


def learn(run: Run, compute: device.Compute, seed: int, lr: float, batches_of: type[SequenceBatches] | None = None) -> float:
    """Train a run and return the dev score of the weights that its `evaluate` uses.

    batches_of: another class of batches for sequences.
    """
    task, features = task_module(run.kind, "training"), paths.features(run.task)
    batches: Any = task.train_batches(features, run, compute, seed)
    if batches_of is not None:
        batches.__class__ = batches_of  # with the same features and masks
    device.seed_torch(seed)
    model = compute.to_device(task.build_model(run, task_module(run.kind, "statistics").Stats.read(features)))
    dev = task.eval_batches(features, "dev", run, compute)
    state = Trainer(task, run, lr, batches, dev, compute, seed, NullRecorder(), Resume(None)).train(model)
    assert state.best is not None
    last: float = state.history[-1][f"dev/{task.SCORE.name}"]
    best: float = state.best.score
    return best if run.evaluate.weights == "best" else last


def compare(name: str) -> Comparison:
    run, lr = load_params().run(name), float(json.loads(paths.lr(name).read_text())["lr"])
    is_images = run.loading is not None
    places = [device.choose("auto", precision, deterministic=True) for precision in ("auto", "fp32")]
    runs = [replace(run, loading=loading) for loading in ("device", "workers")] if is_images else [run, run]
    kinds = [None, None if is_images else RandomBatches]
    scores: list[list[float]] = [[], []]
    for seed in SEEDS:
        for side in (0, 1):
            scores[side].append(learn(runs[side], places[side], seed, lr, kinds[side]))
            print(f"{name}, seed {seed}, {('fast', 'plain')[side]}: {scores[side][-1]:.4f}", flush=True)
    return Comparison(name, task_module(run.kind, "training").SCORE.name, *scores)


def main() -> None:
    about = machine()
    found = [compare(name) for name in RUNS]
    record = {"command": "python -m benchmarks.learning", "machine": about, "runs": [vars(row) for row in found]}
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    print("| run, on its sample | dev | fast | plain | t |\n|---|---|--:|--:|--:|", *found, sep="\n")


if __name__ == "__main__":
    main()
