"""File locks. The system frees a lock when the process that holds it ends, even by a kill."""

import fcntl
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from stages.core.errors import InputError

POLL = 0.5  # seconds


class Locked(Exception):
    """Another process holds the lock; the message has its process id and its machine."""


@contextmanager
def locked(path: Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold the lock `path` within the block. Waits up to `seconds` for it, then raises Locked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + seconds
    while (file := _acquire(path)) is None:
        if time.monotonic() >= end:
            raise Locked(path.read_text())
        time.sleep(min(POLL, seconds))
    with file:
        file.truncate(0)
        file.write(f"{os.getpid()} on {platform.node()}")
        file.flush()
        yield


def _acquire(path: Path) -> IO[str] | None:
    """Return the locked file, or None if another process holds or has just removed it.

    Raises InputError on a file system without locks.
    """
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:  # some network file systems have no locks
        file.close()
        where = f"{path}: cannot be locked here ({error.strerror})"
        raise InputError(f"{where}; choose a folder on another file system") from None
    file.close()
    return None
