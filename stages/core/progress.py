"""Progress of long work: a bar in a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

SECONDS_PER_LINE = 30.0


class DownloadProgress:
    """How far a download is, with speed and time left, while it is open.

    title: what is downloaded. In a terminal, lines that others print appear above its bar.
    """

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
        """The first `size` of `total` bytes are there already."""
        self._bar.reset(self._task, completed=size, total=total)
        self._first, self._total = size, total
        self._start = self._last = time.monotonic()
        there = f", {_megabytes(size)} MB are there already" if size else ""
        print(f"{self._title}: {_megabytes(total)} MB from {source}{there}", flush=True)

    def show(self, size: int) -> None:
        """That so many bytes are there now."""
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


class EpochProgress:
    """A bar for the steps of an epoch, in a terminal; elsewhere only the line that `print` writes."""

    def __init__(self, title: str, epochs: int, steps: int) -> None:
        self._title, self._epochs = title, epochs
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=Console(stderr=True),
            disable=not sys.stderr.isatty(),
            transient=True,
        )
        self._bar = self._progress.add_task(title, total=steps, note="")

    def start(self) -> None:
        self._progress.start()

    def stop(self) -> None:
        self._progress.stop()

    def begin(self, epoch: int, done: int = 0) -> None:
        """Start the bar of `epoch`, counted from 0, of which `done` steps were done before an interruption."""
        description = f"{self._title} epoch {epoch + 1}/{self._epochs}"
        self._progress.reset(self._bar, description=description, note="", completed=done)

    def step(self) -> None:
        self._progress.advance(self._bar)

    def note(self, text: str) -> None:
        """Show a text beside the bar."""
        self._progress.update(self._bar, note=text)

    def print(self, line: str) -> None:
        """Write a line above the bar."""
        if self._progress.disable:
            print(line, flush=True)
        else:
            self._progress.console.print(line, highlight=False)
