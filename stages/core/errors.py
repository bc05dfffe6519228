"""Errors are for people: one sentence that names the file or the key, and a non-zero exit code."""

import errno
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

CONTINUES = "the same command continues"
ADVICE = {
    errno.ENOSPC: f"make room, and {CONTINUES}",
    errno.EDQUOT: f"make room, and {CONTINUES}",
    errno.EFBIG: "a limit (ulimit -f) forbids this process files of that size",
    errno.EROFS: "work in a folder that can be written to",
}
LESS = f"a smaller batch_size needs less, and {CONTINUES}"
# How PyTorch begins the text of an exception that a worker process raised, which the worker's traceback follows, and how it
# tells of a worker that is gone.
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.")
WORKER_GONE = re.compile(r"DataLoader worker \(pid.*?((?:is|was) killed by signal: [\w ]+|exited unexpectedly)")
# NumPy's, PyTorch's on the CPU and on a GPU, OpenCV's; Python itself says nothing.
NO_MEMORY = re.compile(r"Unable to allocate|can't allocate memory|out of memory|Insufficient memory|Cannot allocate memory")


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, where, and what to do."""


class Interrupted(Exception):
    """The work was stopped from outside (Ctrl-C, SIGTERM) after saving what it had."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let a system error name this file where it names none, as when the disk is full.

    torch.save, which a full disk stopped, goes on to complain of what it could not write: then it is the error before.
    """
    try:
        yield
    except Exception as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.filename is None and cause.errno is not None:
            cause.filename = str(path)
        raise


def run_stage(main: Callable[[str], None]) -> None:
    """Call `main` with the one command-line argument that every stage takes: a task's or a run's name."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: python -m {main.__module__ if main.__module__ != '__main__' else 'stages.<stage>'} NAME")
    from stages.core.dependencies import Snapshot  # it raises the errors of this module

    try:
        snapshot = Snapshot()
        main(" ".join(sys.argv[1:]))  # a name with a space, which params.yaml may not have, is told as what it is
        snapshot.check()
    except Interrupted as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted: nothing was left behind; the same command starts this stage again", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        sentence = describe(_wait_for_cause(error))
        if sentence is None:
            raise
        sys.unraisablehook = lambda _: None
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)


def run_command(main: Callable[[], int | None]) -> None:
    """Call the `main` of a command that is not a stage, and exit with its code; with 1 after what a person can mend."""
    try:
        sys.exit(main())
    except (InputError, OSError) as error:
        sys.exit(f"error: {describe(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _wait_for_cause(error: Exception) -> Exception:
    """A pipe breaks before PyTorch hears of the signal that killed the process at its other end, which it then raises."""
    try:
        if isinstance(error, ConnectionError | EOFError):
            time.sleep(1)
    except RuntimeError as cause:
        return cause
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # it would raise it again for each, wherever this process is by then
    return error


def _is_heard() -> bool:
    """Whether somebody still reads what this process prints; `| head` does so for a while."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def describe(error: Exception) -> str | None:
    """What to tell a person; None for a mistake of ours, whose traceback somebody will need."""
    text = str(error)
    is_workers = IN_WORKER.match(text) is not None
    if is_workers:
        text = text.rstrip().rpartition("\n")[2]  # the last line of the worker's traceback: the exception's type and text
    gone = WORKER_GONE.search(text)
    # A broken connection is to a pipe's other end; of the network, requests tells otherwise.
    if gone or (isinstance(error, ConnectionError) and _is_heard()):
        return f"a process that loads data {gone[1] if gone else 'is gone'}, as happens where memory runs out; {CONTINUES}"
    if isinstance(error, MemoryError) or NO_MEMORY.search(text):
        where = "a process that loads data" if is_workers else "this process"
        return f"there is not enough memory for {where} ({' '.join(text.split())[:200] or 'MemoryError'}); {LESS}"
    if isinstance(error, InputError):
        return text.removeprefix(f"{InputError.__module__}.{InputError.__qualname__}: ") if is_workers else text
    if isinstance(error, OSError):
        if error.strerror is None or is_workers:  # a worker's arrives as its text alone
            return text
        reason = f"{error.filename or Path.cwd()}: {error.strerror[:1].lower()}{error.strerror[1:]}"
        return f"{reason}; {ADVICE[error.errno]}" if error.errno in ADVICE else reason
    # As `naming` has it.
    inner = error.__context__
    return describe(inner) if isinstance(inner, OSError) and inner.errno in ADVICE else None
