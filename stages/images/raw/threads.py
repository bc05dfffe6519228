"""Work on many images at a time, in threads: OpenCV lets go of Python's lock while it decodes."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import cv2

AHEAD = 2  # groups of items in work for each thread, so that none of them waits
GROUP = 8  # items that change threads together: one by one, the changing takes a tenth of the time
Given = TypeVar("Given")
Made = TypeVar("Made")


def in_order(work: Callable[[Given], Made], items: Iterable[Given]) -> Iterator[Made]:
    """work(item) of each item, in order, by as many threads as OpenCV may use.

    What waits is bounded, and so is the memory.
    """

    def work_on(group: list[Given]) -> list[Made]:
        return [work(item) for item in group]

    remaining = iter(items)
    groups = iter(lambda: list(itertools.islice(remaining, GROUP)), [])
    threads = cv2.getNumThreads()
    if threads <= 1:  # another would only wait for this one
        yield from itertools.chain.from_iterable(map(work_on, groups))
        return
    waiting: deque[Future[list[Made]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for group in groups:
            waiting.append(pool.submit(work_on, group))
            if len(waiting) > AHEAD * threads:
                yield from waiting.popleft().result()
        for future in waiting:
            yield from future.result()
