"""A lock on a file. The system frees it when the process that holds it ends, however it ends."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

POLL = 0.5  # seconds


class Locked(Exception):
    """Another process holds the lock; the message is its number."""


@contextmanager
def locked(path: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock `path` within the block. Waits for it up to `seconds`, then raises Locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    while (file := _acquire(path)) is None:
        if time.monotonic() >= end:
            raise Locked(path.read_text())
        time.sleep(min(POLL, seconds))
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _acquire(path: Path) -> IO[str] | None:
    """The locked file; None if another process holds it, or removed it after it was opened here."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    file.close()
    return None
