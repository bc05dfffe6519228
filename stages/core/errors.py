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
SMALLER_BATCH = f"a smaller batch_size needs less, and {CONTINUES}"
# PyTorch's texts for an exception in a worker process, which the worker's traceback follows, and for a worker that died.
IN_WORKER = re.compile(r"Caught \w+ in DataLoader worker process \d+\.")
WORKER_GONE = re.compile(r"DataLoader worker \(pid.*?((?:is|was) killed by signal: [\w ]+|exited unexpectedly)")
# The texts of NumPy, PyTorch on the CPU and on a GPU, and OpenCV. Python's own MemoryError has none.
NO_MEMORY = re.compile(r"Unable to allocate|can't allocate memory|out of memory|Insufficient memory|Cannot allocate memory")


class InputError(ValueError):
    """The user's input cannot be used; the message says what is wrong, where, and what to do."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM stopped the work after it saved its state."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add this file to an OSError that names none, as when the disk is full.

    On a full disk torch.save raises its own error, whose context is the OSError.
    """
    try:
        yield
    except Exception as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if isinstance(cause, OSError) and cause.filename is None and cause.errno is not None:
            cause.filename = str(path)
        raise


def run_stage(main: Callable[[str], None]) -> None:
    """Call a stage's `main` with the only command-line argument, the name of a task or run, and exit."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: python -m {main.__module__ if main.__module__ != '__main__' else 'stages.<stage>'} NAME")
    from stages.core.dependencies import Snapshot  # it imports this module

    try:
        snapshot = Snapshot()
        main(" ".join(sys.argv[1:]))  # so that the error for a name with a space quotes all of it
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
    """Call the `main` of a command that is not a stage and exit with its code, or with 1 after a user's error."""
    try:
        sys.exit(main())
    except (InputError, OSError) as error:
        sys.exit(f"error: {describe(error)}")
    except KeyboardInterrupt:
        sys.exit("interrupted")


def _wait_for_cause(error: Exception) -> Exception:
    """Return PyTorch's error about a killed worker, which arrives after the error about the worker's broken pipe."""
    try:
        if isinstance(error, ConnectionError | EOFError):
            time.sleep(1)
    except RuntimeError as cause:
        return cause
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or PyTorch's handler would raise again for each worker
    return error


def _stdout_is_open() -> bool:
    """Whether stdout still has a reader; `| head` stops reading."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def describe(error: Exception) -> str | None:
    """Return the message for the user, or None for a bug, whose traceback is needed."""
    text = str(error)
    in_worker = IN_WORKER.match(text) is not None
    if in_worker:
        text = text.rstrip().rpartition("\n")[2]  # the last line of the traceback: the exception's type and text
    gone = WORKER_GONE.search(text)
    # A ConnectionError is about a pipe to a process; network errors are those of requests.
    if gone or (isinstance(error, ConnectionError) and _stdout_is_open()):
        return f"a data loading process {gone[1] if gone else 'died'}, as happens when memory runs out; {CONTINUES}"
    if isinstance(error, MemoryError) or NO_MEMORY.search(text):
        where = "a data loading process" if in_worker else "this process"
        return f"not enough memory for {where} ({' '.join(text.split())[:200] or 'MemoryError'}); {SMALLER_BATCH}"
    if isinstance(error, InputError):
        return text.removeprefix(f"{InputError.__module__}.{InputError.__qualname__}: ") if in_worker else text
    if isinstance(error, OSError):
        if error.strerror is None or in_worker:  # a worker's error arrives only as text
            return text
        reason = f"{error.filename or Path.cwd()}: {error.strerror[:1].lower()}{error.strerror[1:]}"
        return f"{reason}; {ADVICE[error.errno]}" if error.errno in ADVICE else reason
    inner = error.__context__  # see `naming`
    return describe(inner) if isinstance(inner, OSError) and inner.errno in ADVICE else None
