"""Ctrl-C, SIGTERM and a parent that is gone, as a flag that a training looks at between its steps."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import stages


@contextmanager
def noticed() -> Iterator[Callable[[], bool]]:
    """Within the block Ctrl-C and SIGTERM only raise a flag, which the loop looks at; a second Ctrl-C stops at once.

    The flag is up, too, when the DVC that started this process has been killed.
    """
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        asked.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked) or stages.is_orphan()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
