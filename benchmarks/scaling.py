"""Do time and memory grow as they should, and what does each stage take of a large data set?

    python -m benchmarks.scaling [FILE.json]

Stages of small projects (stages_at_scale.py), and of 4 and 16 times as much data; the sizes take turns, and the medians of
the rounds count. Linearity is what an item more costs between 4 and 16 times the data, against between once and 4 times:
what a stage does only once is left out. All else is on the line through the two largest points; what memory grows by, on
that of many tiny items, which is above the noise. LibriSpeech's train-clean-360 has 104,014 utterances of 12.6 s, of which
the stages hold back a fifth for dev and test; the 140,000 faces to train on come with 35,000 each for dev and test.

The full networks are those of params.yaml: seconds of one step after a first, and of an evaluation, on one core; memory by
the line through batches of 4 and 8. Verification: a million pairs of embeddings with 512 features.
"""

import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.stages_at_scale import RUNS, SEARCHED, STAGES, Cost, Project, read_run, serving, warm_up, watch
from stages.compute.device import choose
from stages.core import checksums, paths
from stages.data.packed import Ragged, RaggedArray
from stages.data.tables import write_table
from stages.images.training.batches import ImageBatch
from stages.sequences.training.batches import SequenceBatch
from stages.tasks import load_params, part
from stages.tasks.faces.evaluation import verification
from stages.tasks.speech import NUM_CLASSES, evaluation
from stages.training import optimizers
from stages.training.step import take_step

TIMES, ROUNDS = (1, 4, 16), 3
# Items at one time, and the stages to measure: `normalize` takes more of them, for it is the quickest.
CHAINS: dict[str, tuple[tuple[int, tuple[str, ...]], ...]] = {
    "speech": ((40, STAGES[:5]),),
    "faces": ((600, ("download", "normalize")), (60, ("find_lr", "train", "evaluate"))),
}
TINY = 1_000, 4_000
SHOWN = ("normalize", "train")
UNITS = {"speech": "utterances", "faces": "images"}
TOTAL = {"speech": 104_014, "faces": 140_000}
TRAINED = {"speech": 0.8, "faces": 1.0}  # of an item of TOTAL
TESTED = {"speech": 10_401, "faces": 35_000}
LENGTH = {"speech": 12.6 / 12, "faces": 1.0}  # of an item, against a generated one
FRAMES, SIDE, CLASSES = 1_260, 224, 7_000


@dataclass(frozen=True)
class Growth:
    """CPU seconds, MB of memory and MB on disk of `num` items, which are TIMES as many. linearity: 1 where it is linear."""

    task: str
    stage: str
    unit: str
    num: list[int]
    seconds: list[float]
    memory: list[float]
    disk: list[float]
    linearity: float

    def __str__(self) -> str:
        rows = zip(self.num, self.seconds, self.memory, self.disk, strict=True)
        points = ", ".join(f"{n:,}: {s:.2f} s, {m:.0f} MB, {d:.1f} MB on disk" for n, s, m, d in rows)
        return f"{self.stage} {self.task}, {self.unit}: {points}; linearity {self.linearity:.2f}"

    def at(self, num: float, of: Sequence[float]) -> float:
        """A column at `num` items, by the two largest points."""
        return of[-1] + (num - self.num[-1]) * self.each(of)

    def each(self, of: Sequence[float]) -> float:
        """What an item more adds to a column."""
        return (of[-1] - of[-2]) / (self.num[-1] - self.num[-2])


@dataclass(frozen=True)
class Row:
    """A stage of a large data set. disk and memory in GB; None where it is said elsewhere."""

    task: str
    stage: str
    network: str
    minutes: float
    disk: float | None
    memory: float
    is_measured: bool = False


def grow(projects: Sequence[Project], shown: Sequence[str], rounds: int) -> dict[str, Growth]:
    """The stages `shown` of projects of one task, small to large, after all before them."""
    costs: dict[str, list[list[Cost]]] = {stage: [[] for _ in projects] for stage in STAGES}
    for number in range(rounds):
        for place, project in enumerate(projects):
            for stage in STAGES[: STAGES.index(shown[-1]) + 1]:
                if number == 0 or stage in SHOWN:
                    costs[stage][place].append(project.measure(stage))
    task, num, found = projects[0].task, [project.num for project in projects], {}
    for stage in shown:
        seconds, memory, disk = (
            [statistics.median(getattr(cost, key) for cost in point) for point in costs[stage]]
            for key in ("seconds", "memory", "disk")
        )
        slopes = [(seconds[i + 1] - seconds[i]) / (num[i + 1] - num[i]) for i in range(len(num) - 1)]
        found[stage] = Growth(task, stage, UNITS[task], num, seconds, memory, disk, slopes[-1] / slopes[0])
        print(found[stage], flush=True)
    return found


class Silence(nn.Module):
    """What pblstm puts out, blank in a quarter of the frames, without the memory that its layers take."""

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return F.one_hot(torch.zeros(len(x), x.shape[1] // 4, dtype=torch.long), NUM_CLASSES) * 10.0, lengths // 4


def kept_of_frames(project: Project) -> tuple[list[int], list[float]]:
    """MB that the evaluation of speech holds of 16 and 64 times the test split, a tenth of `num` utterances: (num, MB)."""
    run, compute = load_params(project.folder / paths.PARAMS).run(project.run), choose("cpu", "fp32", deterministic=True)
    features, memory = project.folder / paths.features(project.task), []
    # Of what waits for beam search there is so little here that it never is as much as it can be: it is added.
    at_once, evaluation.AT_ONCE = evaluation.AT_ONCE, 20_000
    waiting = (at_once - evaluation.AT_ONCE) * NUM_CLASSES * 4 / 1e6
    for times in (16, 4):
        watch(partial(_repeat, features / "test", times))
        predict = partial(evaluation.predict, Silence(), features, "test", run, compute, beam=run.evaluate.test_beam)
        memory.append(watch(predict)[1] + waiting)
    evaluation.AT_ONCE = at_once
    return [16 * project.num, 64 * project.num], memory


def _repeat(folder: Path, times: int) -> None:
    for name in ("mfcc", "names"):
        items = [np.array(item) for item in RaggedArray(folder / name)]
        with Ragged(folder / name, items[0].shape[1:], items[0].dtype) as out:
            for item in items * times:
                out.append(item)


@dataclass(frozen=True)
class Full:
    """A full network: seconds of an item in training and in evaluation; GB of a step of `batch` items, and of weights."""

    training: float
    evaluating: float
    memory: float
    weights: float
    batch: int


def steps(task: str, run: Any, batch: int, out: Path) -> None:
    """Take two steps and evaluate, of random inputs; write the seconds of an item in the second step, and in evaluation."""
    module, compute = part(task, "training"), choose("cpu", "auto", deterministic=True)
    inputs: Any
    if task == "speech":
        targets, lengths = torch.randint(1, 41, (batch, 140)), torch.full((batch,), FRAMES)
        frames = torch.randn(batch, FRAMES, 27)
        inputs = SequenceBatch(frames, lengths, targets, torch.full((batch,), 140), torch.arange(batch))
    else:
        images = torch.randn(batch, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
        inputs = ImageBatch(images, torch.randint(0, CLASSES, (batch,)), torch.arange(batch))
    model = compute.place(module.build_model(run, {"num_features": 27, "classes": range(CLASSES)})).train()
    optimizer = optimizers.build_optimizer(run.optimizer, model, 1e-4)
    times = []
    for _ in range(2):
        began = time.process_time()
        take_step(model, optimizer, compute.grad_scaler(model), inputs, module, run, compute, 1e-4)
        times.append(time.process_time() - began)
    began = time.process_time()
    model.eval()
    with torch.no_grad(), compute.autocast():
        module.forward(model, inputs)
    weights = sum(value.nbytes for value in model.state_dict().values())
    out.write_text(json.dumps([times[1] / batch, (time.process_time() - began) / batch, weights / 1e9]))


def full(folder: Path, task: str) -> Full:
    """The network of params.yaml for real data."""
    run, out = read_run(RUNS[task], "elsewhere"), folder / "steps.json"
    small, large = (watch(partial(steps, task, run, batch, out))[1] / 1e3 for batch in (4, 8))
    training, evaluating, weights = json.loads(out.read_text())
    times = 2 if getattr(run.evaluate, "flip_average", False) else 1
    memory = large + (run.batch_size - 8) * (large - small) / 4
    return Full(training, times * evaluating, memory, weights, run.batch_size)


def submit(project: Project, num: int) -> Cost:
    """Of a test split of `num` items; the predictions of the project make room for them."""
    predicted = "n000001" if project.task == "faces" else "tErE wUz - " * 13
    rows = ((f"test/{index:06d}_01.jpg", predicted.replace(" ", "")) for index in range(num))
    predictions = project.folder / paths.predictions(project.run)
    write_table(predictions / "test.csv", ["name", "predicted"], rows)
    checksums.write(predictions)
    return project.measure("submit")


def pairs(num: int) -> None:
    """The metrics of `num` pairs, a thousand faces with so many that it makes them; a query has one right answer."""
    queries, known = torch.randn(1_000, 512), torch.randn(num // 1_000, 512)
    found = verification.count_pairs(queries, known, torch.arange(1_000) % len(known), torch.arange(len(known)))
    verification.pair_metrics(found)


def at_scale(task: str, found: dict[str, Growth], tiny: dict[str, Growth], net: Full) -> list[Row]:
    """What each stage takes of the large data set; of the stages with a network, with the narrow and with the full one.

    The full one's seconds come on top of the narrow one's, which are few and contain all else that the stage does.
    """
    rows = []

    def lay_on(growth: Growth, slope: Growth, column: str) -> float:
        """GB: what the largest point has, and what each item more adds; what is within the noise adds nothing."""
        largest, each = getattr(growth, column)[-1], max(slope.each(getattr(slope, column)), 0) * LENGTH[task]
        return float(largest + (TOTAL[task] - growth.num[-1]) * each) / 1e3

    for stage, growth in found.items():
        # A range test has 200 steps, however many items there are.
        num = 200 * net.batch / TRAINED[task] / SEARCHED if stage == "find_lr" else TOTAL[task]
        minutes = growth.at(num, growth.seconds) * LENGTH[task] / 60
        memory = lay_on(growth, tiny[stage], "memory")
        if stage in STAGES[:2]:
            rows.append(Row(task, stage, "", minutes, lay_on(growth, growth, "disk"), memory))
            continue
        trained, evaluated, disk = {
            "find_lr": (200 * net.batch, 0, 0.0),
            "train": (TOTAL[task] * TRAINED[task], TESTED[task], 2 * net.weights),
            "evaluate": (0, 2 * TESTED[task], lay_on(growth, tiny[stage], "disk")),
        }[stage]
        more = (trained * net.training + evaluated * net.evaluating) / 60
        held = net.weights if stage == "evaluate" else net.memory
        rows.append(Row(task, stage, "narrow", minutes, None, memory))
        rows.append(Row(task, stage, "full", minutes + more, disk, memory + held))
    return rows


def measure() -> dict[str, Any]:
    """Both tables, as JSON holds them."""
    growths, rows = [], []
    with tempfile.TemporaryDirectory() as name, serving(Path(name)) as server:
        folder = Path(name)
        with redirect_stdout(io.StringIO()):
            warm_up(folder, server)
        for task, chains in CHAINS.items():
            found: dict[str, Growth] = {}
            for once, shown in chains:
                projects = [Project(folder / f"{task}-{shown[0]}-{times}", server, task, once * times) for times in TIMES]
                found |= grow(projects, shown, ROUNDS)
            many = [Project(folder / f"{task}-tiny-{num}", server, task, num, tiny=True) for num in TINY]
            tiny = grow(many, STAGES[:5], 1)
            if task == "speech":  # it keeps what is in each frame, of which tiny utterances have few
                num, memory = kept_of_frames(projects[1])
                tiny["evaluate"] = replace(tiny["evaluate"], num=num, memory=memory)
            rows += at_scale(task, found, tiny, full(folder, task))
            cost = submit(projects[0], TESTED[task])
            rows.append(Row(task, "submit", "", cost.seconds / 60, cost.disk / 1e3, cost.memory / 1e3, is_measured=True))
            growths += [found[stage] for stage in SHOWN]
        pair_seconds, pair_memory = watch(partial(pairs, 1_000_000))
    rows.append(Row("faces", "evaluate: a million pairs", "", pair_seconds / 60, None, pair_memory / 1e3, is_measured=True))
    print(*rows, sep="\n", flush=True)
    return {"scaling": [asdict(growth) for growth in growths], "stages": [asdict(row) for row in rows]}


if __name__ == "__main__":
    record = measure()
    for path in sys.argv[1:]:
        Path(path).write_text(json.dumps(record))
