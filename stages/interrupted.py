"""`python -m stages.interrupted`: list the saved states of trainings in .resume/; `--remove` removes them.

A training continues from its state when it starts again. After a change of its parameters or code nothing uses it, and it
only fills the disk. `<run>/finished` is the state of the run's last finished training, which more epochs continue.
"""

import argparse
import shutil
import time
from pathlib import Path

from stages.config.check import nearest
from stages.core import paths
from stages.core.errors import InputError, run_command
from stages.core.locks import Locked, locked


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m stages.interrupted", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help="only these runs")
    parser.add_argument("--remove", action="store_true", help="remove the states that no process is using")
    arguments = parser.parse_args()
    folder = paths.resume("")
    known = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    for run in arguments.runs:
        if run not in known:
            raise InputError(f"{folder / run}: no saved state; {nearest(run, known)}")
    for run in arguments.runs or known:
        for lock in sorted((folder / run).glob("*.lock")):
            _show(lock, arguments.remove)


def _show(lock: Path, remove: bool) -> None:
    state = lock.with_suffix("")
    size = sum(file.stat().st_size for file in state.rglob("*") if file.is_file())
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(state, lock, key=_changed).stat().st_mtime))
    try:
        with locked(lock):
            if remove:
                shutil.rmtree(state, ignore_errors=True)
                lock.unlink()
    except Locked as holder:
        print(f"{state}  {size / 1e6:.1f} MB  in use by process {holder}")
        return
    if size:  # otherwise only the lock is left
        print(f"{state}  {size / 1e6:.1f} MB  of {since}{'  removed' if remove else ''}")


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


if __name__ == "__main__":
    run_command(main)
