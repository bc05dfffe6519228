"""DVC's experiment queue: add experiments, start workers, and fetch the results.

The queue continues after an interruption, and the same command then waits for the experiments in it.
"""

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stages.ablating.grids import Value
from stages.ablating.prepare import check_git, repro
from stages.core import errors, paths
from stages.core.errors import InputError
from stages.reporting.environment import git

POLL_SECONDS = 3.0
WORKER_SECONDS = 60  # a worker takes 3 s to start on an idle machine, and 10 s without work to end
ENDED = ("Success", "Failed")  # DVC's other states of a task are Queued and Running


class Task(NamedTuple):
    """An entry of the queue. ref: of the experiment's commit, once there is one; base: the commit it was queued on."""

    name: str
    state: str
    ref: str | None
    base: str | None = None


def prepare(target: str) -> None:
    """Run `dvc repro` of what all values share, so that the workers do not repeat it.

    Raises InputError if it fails, or if the project's path has non-ASCII letters, which DVC's queue does not support.
    """
    if not str(folder := paths.root().resolve()).isascii():
        raise InputError(f"{folder}: DVC's queue fails below a path with non-ASCII letters; move the project")
    repro(target)


def made(ref: str, file: Path) -> dict[str, Any]:
    """Return the content of a JSON file in an experiment's commit."""
    content = git("show", f"{ref}:{file.as_posix()}")
    assert content is not None, f"{ref} has no {file}"
    return json.loads(content)


def fetch(ref: str, folder: Path, to: Path) -> None:
    """Copy a stage output of an experiment from DVC's cache to the new folder `to`."""
    from dvc.api import DVCFileSystem

    DVCFileSystem(rev=ref).get(folder.as_posix(), str(to), recursive=True)


def run_all(values: Sequence[Value], jobs: int) -> list[str]:
    """Like `run`, but return the commits in the order of the values. Raises InputError if an experiment failed."""
    found = run(values, jobs)
    refs = {value.name: ref for value in values if (ref := found.get(value.name))}
    if failed := [value.name for value in values if value.name not in refs]:
        raise InputError(f"{', '.join(failed)}: failed, so there is no table: {_why(failed[0])}")
    return list(refs.values())


def _why(name: str) -> str:
    """Return the last error message of a failed experiment, or the command that shows its log."""
    messages: list[str] = []
    with contextlib.suppress(InputError):
        messages = re.findall(r"^error: (.+)$", dvc("queue", "logs", name), re.M)
    return messages[-1] if messages else f"`dvc queue logs {name}` shows why"


def run(values: Sequence[Value], jobs: int) -> dict[str, str | None]:
    """Run every value as an experiment, `jobs` at a time. Returns name -> commit, None if it failed. Prints the progress.

    Raises InputError if git or DVC fails.
    """
    check_git()
    return {task.name: task.ref for task in _wait(_put(values), jobs)}


def run_command(main: Callable[[], int | None]) -> None:
    """`stages.core.errors.run_command` for a command that waits for the queue; Ctrl-C prints how to stop the queue."""

    def interruptible() -> int | None:
        try:
            return main()
        except KeyboardInterrupt:
            print("interrupted: the queue continues, and the same command waits for it again;")
            print("`dvc queue stop --kill` stops running experiments, `dvc queue remove --queued` removes waiting ones")
            return 130

    errors.run_command(interruptible)


def _put(values: Sequence[Value]) -> list[str]:
    """Queue the values that are not queued or running already, and return the revisions of all."""
    names, tasks = {value.name for value in values}, _tasks()
    active = {task.name for task in tasks.values() if task.state not in ENDED}
    if not active:  # an experiment that an idle worker takes while it ends fails without a log
        _wait_for_workers(alive=False)
    # Names are unique per commit. `dvc exp run --force` would free them, too, but repeat all stages.
    head = git("rev-parse", "HEAD") or ""
    if old := sorted(
        {task.name for task in tasks.values() if task.name in names & active and task.base not in (None, head)}
    ):
        raise InputError(f"{', '.join(old)}: in the queue since an earlier commit; `dvc queue remove {' '.join(old)}` first")
    taken = git("for-each-ref", "--format=%(refname:lstrip=4)", f"refs/exps/{head[:2]}/{head[2:]}") or ""
    if old := sorted(names & set(taken.split()) - active):
        dvc("exp", "remove", *old)
    if old := [rev for rev, task in _tasks().items() if task.state in ENDED and task.name in names]:
        dvc("queue", "remove", *old)
    for value in values:
        if value.name not in active:
            dvc("exp", "run", "--queue", "-n", value.name, *value.arguments)
        print(f"{value.name}: {'in the queue already' if value.name in active else 'queued'}", flush=True)
    return [rev for rev, task in _tasks().items() if task.name in names]


def _wait(revs: Sequence[str], jobs: int) -> list[Task]:
    """Start workers, print every change, and return the tasks after all have ended."""
    states = dict.fromkeys(revs, "Queued")
    _start(jobs)
    while True:
        worker_alive = _worker_alive()  # before reading the tasks, so that without a worker a running task is a dead one
        tasks = {rev: task for rev, task in _tasks().items() if rev in revs}
        ended = sum(task.state in ENDED for task in tasks.values())
        for rev, task in tasks.items():
            if states[rev] != task.state:
                print(f"{task.name}: {task.state.lower()} ({ended} of {len(revs)} done)", flush=True)
        if ended == len(tasks):  # not len(revs): a removed task never ends
            return list(tasks.values())
        if not worker_alive and any(task.state == "Queued" for task in tasks.values()):
            _start(jobs)
        elif not worker_alive:
            dvc("queue", "kill", *(rev for rev, task in tasks.items() if task.state not in ENDED))
        states |= {rev: task.state for rev, task in tasks.items()}
        time.sleep(POLL_SECONDS)


def _tasks() -> dict[str, Task]:
    """Return the queue's entries by revision."""
    from dvc.repo import Repo

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        states = {entry["rev"]: (entry["name"], entry["status"]) for entry in queue.status()}
        refs = {done.entry.stash_rev: str(done.result.ref_info) for done in queue.iter_success()}
        bases = {entry.stash_rev: entry.baseline_rev for entry in (*queue.iter_queued(), *queue.iter_active())}
    return {rev: Task(name, state, refs.get(rev), bases.get(rev)) for rev, (name, state) in states.items()}


def _start(jobs: int) -> None:
    dvc("queue", "start", "-j", str(jobs))
    if not _wait_for_workers(alive=True):
        raise InputError("the queue's workers do not start; .dvc/tmp/exps/celery/*.out shows why")


def _wait_for_workers(alive: bool) -> bool:
    """Wait until a worker is alive, or until none is. Returns whether that came to be within WORKER_SECONDS."""
    for _ in range(WORKER_SECONDS):
        if _worker_alive() == alive:
            return True
        time.sleep(1)
    return False


def _worker_alive() -> bool:
    """Whether a worker process exists, by DVC's file about it or by a ping.

    A ping can time out on a busy machine. The file is wrong after a worker that was about to end has overlapped a new one.
    """
    for file in Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json"):
        worker = json.loads(file.read_text())
        with contextlib.suppress(ProcessLookupError):
            if worker["returncode"] is None:
                os.kill(worker["pid"], 0)
                return True
    from dvc.repo import Repo

    with Repo() as repo:
        return bool(repo.experiments.celery_queue.worker_status())


def dvc(*arguments: str) -> str:
    """Run a DVC command and return its output. Raises InputError if it fails.

    Ctrl-C does not reach it, because queueing removes the working tree's changes for a moment. Its own session lets the
    workers that it starts outlive the terminal.
    """
    command, interrupted = [sys.executable, "-m", "dvc", *arguments], False
    with tempfile.TemporaryFile("w+") as output:  # the workers inherit it; a pipe would stay open as long as they live
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
        output.seek(0)
        text = output.read()
    if interrupted:
        raise KeyboardInterrupt
    if process.returncode:
        raise InputError(f"`{shlex.join(['dvc', *arguments])}` failed: {' '.join(text.split())}")
    return text
