"""Ctrl-C, SIGTERM and a dead parent process as a flag that the training loop polls between steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stages


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """Yield a function that says whether Ctrl-C or SIGTERM came, or the DVC that started this process died.

    A second Ctrl-C stops at once.
    """
    signals: list[int] = []

    def handle(number: int, frame: Any) -> None:
        signals.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(signals) or stages.is_orphan()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
