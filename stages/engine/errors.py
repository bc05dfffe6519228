"""Errors are for people: one sentence that names the file or the key, and a non-zero exit code."""

import signal
import sys
from collections.abc import Callable


class InputError(ValueError):
    """Something the user gave cannot be used; the message says what, where, and what to do."""


class Interrupted(Exception):
    """The work was stopped from outside (Ctrl-C, SIGTERM) after saving what it had."""


def run_stage(main: Callable[[str], None]) -> None:
    """Call `main` with the one command-line argument that every stage takes: a task's or a run's name."""
    if len(sys.argv) != 2:
        sys.exit(f"usage: python -m {main.__module__ if main.__module__ != '__main__' else 'stages.<stage>'} NAME")
    try:
        main(sys.argv[1])
    except Interrupted as stop:
        print(f"interrupted: {stop}", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted: nothing was left behind; the same command starts this stage again", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
