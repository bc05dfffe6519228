"""How far a download is: a bar with speed and time left in a terminal, elsewhere a line now and then."""

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

SECONDS_PER_LINE = 30.0


class Meter:
    """Shows while it is open. title: what is downloaded. In a terminal, lines that others print appear above its bar."""

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
