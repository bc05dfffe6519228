"""Progress of long work: a bar in a terminal, occasional lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

from rich import progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_PER_LINE = 30.0
Item = TypeVar("Item")


class DownloadProgress:
    """Progress of a download, with speed and time left, as a context manager. title: what is downloaded."""

    def __init__(self, title: str) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._title, self._task = title, self._bar.add_task(title)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def begin(self, size: int, total: int | None, source: str) -> None:
        """Start with the first `size` of `total` bytes already there. source: where they come from."""
        self._bar.reset(self._task, completed=size, total=total)
        self._first, self._total = size, total
        self._start = self._last = time.monotonic()
        there = f", {_megabytes(size)} MB are there already" if size else ""
        print(f"{self._title}: {_megabytes(total)} MB from {source}{there}", flush=True)

    def show(self, size: int) -> None:
        """Show that `size` bytes have arrived."""
        now = time.monotonic()
        self._bar.update(self._task, completed=size)
        if self._bar.disable and now - self._last >= SECONDS_PER_LINE:
            self._last = now
            speed = (size - self._first) / (now - self._start)
            left = "" if self._total is None else f", {(self._total - size) / speed:.0f} s left"
            there = f"{_megabytes(size)} of {_megabytes(self._total)} MB"
            print(f"{self._title}: {there}, {speed / 1e6:.1f} MB/s{left}", flush=True)


def _megabytes(size: int | None) -> str:
    return "?" if size is None else f"{size / 1e6:,.1f}"


class TrainingProgress:
    """Progress of a training: a row for each epoch and, in a terminal, a bar over all steps.

    A row fits 80 columns: epoch, learning rate, mean train and dev loss, dev score, best dev score so far, the epoch's time
    and the time left.
    """

    HEADER = ("", "rate", "loss", "dev loss", "", "best", "time", "left")
    WIDTHS = (13, 9, 9, 10, 12, 8, 9, 9)

    def __init__(self, title: str, score: str, epochs: int, steps: int) -> None:
        """score: the name of the dev score. steps: the number of steps in an epoch."""
        self._epochs, self._steps, self._score, self._best = epochs, steps, score, ""
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(),
            TextColumn("left  {task.fields[note]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._title, self._bar = title, self._progress.add_task(title, total=epochs * steps, note="")
        self._first: int | None = None  # the step at which this process started, counted over all epochs
        self._with_header, self._began = True, time.monotonic()

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def begin(self, epoch: int, done: int = 0) -> None:
        """Start epoch `epoch`, counted from 0, of which `done` steps were taken before an interruption."""
        description, step = f"{self._title} {epoch + 1}/{self._epochs}", epoch * self._steps + done
        if self._first is None:
            self._first = step
        self._progress.update(self._bar, description=description, completed=step)

    def step(self) -> None:
        self._progress.advance(self._bar)

    def note(self, loss: float) -> None:
        """Show the epoch's mean loss so far and the best dev score beside the bar."""
        self._progress.update(self._bar, note=f"loss {loss:.4g}" + (f"  best {self._best}" if self._best else ""))

    def epoch(self, row: dict[str, float], best: float | None, seconds: float) -> None:
        """Print the row of a finished epoch. row: the epoch's metrics. best: the best dev score so far, if any."""
        epoch, self._best = int(row["epoch"]), "" if best is None else f"{best:.4g}"
        if self._with_header:
            self._write((*self.HEADER[:4], self._score, *self.HEADER[5:]))
            self._with_header = False
        taken = epoch * self._steps - (self._first or 0)
        # None are taken after a restart at the end of an epoch.
        pace = (time.monotonic() - self._began) / taken if taken else seconds / self._steps
        left = pace * (self._epochs - epoch) * self._steps
        names = ("train/loss", "dev/loss", f"dev/{self._score}")
        numbers = (f"{row[name]:.4g}" if name in row else "" for name in names)
        cells = (f"epoch {epoch}/{self._epochs}", f"{row['lr']:.2g}", *numbers, self._best)
        self._write((*cells, brief(seconds), brief(left)))

    def _write(self, cells: tuple[str, ...]) -> None:
        first, *others = (cell.rjust(width) for cell, width in zip(cells, self.WIDTHS, strict=True))
        line = cells[0].ljust(len(first)) + "".join(others)
        if self._progress.disable:
            print(line, flush=True)
        else:
            self._progress.console.print(line, highlight=False)


def brief(seconds: float) -> str:
    """Format a duration as one number: 0.5 s, 12 s, 2.5 min, 90 min, 3.5 h."""
    number, unit = (seconds, "s") if seconds < 120 else (seconds / 60, "min") if seconds < 7200 else (seconds / 3600, "h")
    return f"{number:.1f} {unit}" if number < 10 else f"{number:.0f} {unit}"


def track(items: Iterable[Item], title: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items, with a bar in a terminal. total: their number, if they have no length."""
    console = Console(stderr=True)
    hidden = not sys.stderr.isatty()
    yield from progress.track(items, title, total, console=console, transient=True, disable=hidden)
