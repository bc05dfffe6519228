"""Parallel work on images in threads; OpenCV releases the GIL while it decodes."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

AHEAD = 2  # groups submitted per thread, so that no thread waits
GROUP = 8  # items per task: with single items, task switching takes a tenth of the time
Input = TypeVar("Input")
Output = TypeVar("Output")


def in_order(work: Callable[[Input], Output], items: Iterable[Input]) -> Iterator[Output]:
    """Yield work(item) for each item, in order, with as many threads as OpenCV may use and in bounded memory."""

    def work_on(group: list[Input]) -> list[Output]:
        return [work(item) for item in group]

    remaining = iter(items)
    groups = iter(lambda: list(itertools.islice(remaining, GROUP)), [])
    threads = cv2.getNumThreads()
    if threads <= 1:
        yield from itertools.chain.from_iterable(map(work_on, groups))
        return
    pending: deque[Future[list[Output]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in groups:
            pending.append(pool.submit(work_on, group))
            if len(pending) > AHEAD * threads:
                yield from pending.popleft().result()
        for future in pending:
            yield from future.result()
