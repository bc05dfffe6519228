"""The records of a training: DVCLive's tables, a progress bar and the timing."""

import json
import platform
import statistics
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from stages.compute.device import Compute
from stages.core.progress import TrainingProgress


class Recorder:
    """Writes each epoch's metrics into `folder` with DVCLive and shows the progress of the run `title`.

    score: the dev score's name. steps: per epoch.
    """

    def __init__(self, folder: Path, title: str, score: str, epochs: int, steps: int) -> None:
        from dvclive import Live  # imports DVC, which the learning-rate search does not need

        # DVCLive only writes tables: `dvc exp` makes the experiments, and dvc.yaml is written by hand.
        self._live = Live(str(folder), dvcyaml=None, save_dvc_exp=False, report=None)
        self._progress = TrainingProgress(title, score, epochs, steps)
        self.begin, self.step, self.note = self._progress.begin, self._progress.step, self._progress.note

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        self._live.end()
        Path(self._live.metrics_file).unlink(missing_ok=True)  # `evaluate` measures the last epoch's metrics again

    def replay(self, history: list[dict[str, float]]) -> None:
        """Log the epochs before a restart again: DVC deleted their tables when the stage began."""
        for row in history:
            self._log(row)

    def epoch(self, row: dict[str, float], best: float | None, seconds: float) -> None:
        """Log the metrics of a finished epoch; row["epoch"] counts from 1. best: the best dev score so far, if any."""
        self._log(row)
        self._progress.epoch(row, best, seconds)

    def _log(self, row: dict[str, float]) -> None:
        self._live.step = int(row["epoch"])
        for name, value in row.items():
            if name != "epoch":
                self._live.log_metric(name, value)
        self._live.make_summary()


class NullRecorder:
    """A Recorder that records nothing, for the processes other than the first."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
    def begin(self, epoch: int, done: int = 0) -> None: ...
    def step(self) -> None: ...
    def note(self, loss: float) -> None: ...
    def replay(self, history: list[dict[str, float]]) -> None: ...
    def epoch(self, row: dict[str, float], best: float | None, seconds: float) -> None: ...


def write_timing(
    path: Path, seconds: list[float], num_items: int, compute: Compute, compile_seconds: float | None = None
) -> None:
    """Write the training time, apart from the metrics, so that equal runs have equal metrics.

    seconds: per epoch. compile_seconds: not part of them, and of the last start only. None: nothing was compiled.
    """
    median = statistics.median(seconds)
    timing = {
        "epochs": len(seconds),
        "train_seconds": round(sum(seconds), 3),
        "epoch_seconds": round(median, 3),
        "items_per_second": round(num_items / median, 1),
        "device": compute.name,
        "precision": compute.precision,
        "torch": torch.__version__,
        "python": platform.python_version(),
    } | ({} if compile_seconds is None else {"compile_seconds": round(compile_seconds, 1)})
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(timing, indent=2) + "\n")
