"""Do time and memory grow as they should? `normalize` and an epoch of training on 1, 4 and 16 times as much generated data.

    python -m benchmarks.scaling

Each measurement is a process of its own, on one core: CPU seconds of the work itself, without imports, and the most memory
that the process has held for itself at a time above what it held before (RssAnon: pages of mapped files are not counted, as
the system takes them back when it needs them). Time is linear if 16 times the data take 4 times what 4 times the data take.
From these two follow the seconds for LibriSpeech's train-clean-360 (104,014 utterances of 12.6 s) and 140,000 faces.

normalize: JPEGs of 224 x 224, 20 kB each; flac of 12 s each. Training: an epoch of pblstm, hidden 16, on random features of
300 frames, batches of 16.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from benchmarks import normalize
from stages.engine.archive import Archive
from stages.engine.compute import choose
from stages.engine.packed import Ragged, text_row
from stages.tasks import load_params
from stages.tasks.faces import raw as faces
from stages.tasks.speech import NUM_CLASSES, task
from stages.tasks.speech import raw as speech

TIMES = (1, 4, 16)
CLIPS = "train-clean-360", 104_014, 12.6 / normalize.SECONDS
# What is done: one time its data, in units; the target of the extrapolation, its number, and a unit's share of one of these.
WORK: dict[str, tuple[int, str, str, int, float]] = {
    "normalize faces": (500, "images", "140,000 faces", 140_000, 1.0),
    "normalize speech": (20, "utterances", *CLIPS),
    "train speech": (48, "utterances", "an epoch of this on train-clean-360", 104_014, 1260 / 300),
}


@dataclass(frozen=True)
class Growth:
    """seconds and megabytes at each of TIMES. linearity: (16 times) / (4 times) / 4. extrapolated: minutes of one core."""

    work: str
    unit: str
    num: list[int]
    seconds: list[float]
    megabytes: list[float]
    linearity: float
    for_what: str
    extrapolated: float

    def __str__(self) -> str:
        points = ", ".join(
            f"{n:,}: {s:.2f} s, {m:.0f} MB" for n, s, m in zip(self.num, self.seconds, self.megabytes, strict=True)
        )
        return (
            f"{self.work}, {self.unit}: {points}; 16 times in {self.linearity:.2f} of 4 times the time of 4 times; "
            f"{self.for_what}: {self.extrapolated:.1f} core-minutes"
        )


class Watch:
    """Samples how much memory this process holds for itself."""

    def __init__(self) -> None:
        self._begin = self._most = self._anonymous()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()

    def _anonymous(self) -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))

    def _sample(self) -> None:
        while not self._done.wait(0.02):
            self._most = max(self._most, self._anonymous())

    def stop(self) -> float:
        """Megabytes above those of the beginning, at most."""
        self._done.set()
        self._thread.join()
        return self._most - self._begin


def prepare(work: str, folder: Path, num: int) -> Callable[[], Any]:
    """Make the data, and return what is to be measured."""
    out = folder / "out"
    out.mkdir(parents=True)
    if work == "normalize faces":
        normalize.write_faces(folder, num)
        settings: Any = replace(load_params().task("faces"), source="here")
        return partial(faces.pack, [Archive(folder / "faces.zip")], out, settings, 0)
    if work == "normalize speech":
        normalize.write_speech(folder, "flac", normalize.make_waves(10) * (num // 10))
        settings = replace(load_params().task("speech"), source="here")
        return partial(speech.pack, [Archive(folder / "flac.zip")], out, settings, 0)
    write_features(out / "train", num)
    return partial(train, out)


def write_features(folder: Path, num: int) -> None:
    random = np.random.default_rng(0)
    with (
        Ragged(folder / "mfcc", (27,), np.float32) as mfcc,
        Ragged(folder / "transcript", (), np.uint8) as transcript,
        Ragged(folder / "names", (), np.uint8) as names,
    ):
        for index in range(num):
            mfcc.append(random.standard_normal((300, 27), np.float32))
            transcript.append(random.integers(1, NUM_CLASSES, 40).astype(np.uint8))
            names.append(text_row(str(index)))


def train(features: Path) -> None:
    """An epoch, on the task's own batches and in the loop's own steps."""
    from stages.engine import loop, optim

    run, compute = load_params().run("pblstm"), choose("cpu", "auto", deterministic=True)
    run = replace(run, batch_size=16, model={**run.model, "hidden": 16, "decoder": 64})
    batches = task.train_batches(features, run, compute, 0)
    model = compute.place(task.build_model(run, {"num_features": 27})).train()
    optimizer = optim.build_optimizer(run.optimizer, model, 1e-4)
    for batch in batches.epoch(0):
        loop.take_step(model, optimizer, compute.grad_scaler(), batch, task, run, compute, 1e-4)


def child(work: str, num: int) -> None:
    """Measure one point, in this process, and print it."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        prepare(work, Path(name) / "first", WORK[work][0])()  # what is only done once, imports and tables
        action = prepare(work, Path(name) / "then", num)
        watch, began = Watch(), time.process_time()
        action()
        seconds = time.process_time() - began
    print(json.dumps({"seconds": seconds, "megabytes": watch.stop()}))


def grow(work: str) -> Growth:
    once, unit, for_what, total, share = WORK[work]
    num, points = [once * times for times in TIMES], []
    for count in num:
        command = [sys.executable, "-m", "benchmarks.scaling", work, str(count)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        points.append(json.loads(output.splitlines()[-1]))
    seconds, megabytes = ([point[key] for point in points] for key in ("seconds", "megabytes"))
    each = (seconds[2] - seconds[1]) / (num[2] - num[1])
    growth = Growth(work, unit, num, seconds, megabytes, seconds[2] / seconds[1] / 4, for_what, each * total * share / 60)
    print(growth, flush=True)
    return growth


def measure() -> list[dict[str, Any]]:
    return [asdict(grow(work)) for work in WORK]


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], int(sys.argv[2]))
    else:
        measure()
