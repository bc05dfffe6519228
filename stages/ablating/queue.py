"""DVC's queue: experiments into it, workers started, and the way to their results.

The queue goes on without us: who was interrupted and comes again finds the experiments there and waits for them.
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
START_SECONDS = 60  # a worker imports much; 3 s on an idle machine
ENDED = ("Success", "Failed")  # what DVC calls the states of a task; the others are Queued and Running


class Task(NamedTuple):
    """An entry of the queue. ref: of the experiment's commit, once there is one; base: the commit it was queued on."""

    name: str
    state: str
    ref: str | None
    base: str | None = None


def prepare(target: str) -> None:
    """`dvc repro` of what all values share, so that it is made once and not by every worker for itself.

    Raises InputError: it fails, or the project's folder has a path that DVC's queue cannot have.
    """
    if not str(folder := paths.root().resolve()).isascii():
        raise InputError(f"{folder}: DVC's queue fails below a path with other letters than ASCII's; move the project")
    repro(target)


def made(ref: str, file: Path) -> dict[str, Any]:
    """A JSON file as an experiment committed it."""
    content = git("show", f"{ref}:{file.as_posix()}")
    assert content is not None, f"{ref} has no {file}"
    return json.loads(content)


def fetch(ref: str, folder: Path, to: Path) -> None:
    """A stage's output as an experiment left it, out of DVC's cache, as the new folder `to`."""
    from dvc.api import DVCFileSystem

    DVCFileSystem(rev=ref).get(folder.as_posix(), str(to), recursive=True)


def run_all(values: Sequence[Value], jobs: int) -> list[str]:
    """As `run`: the commits in the values' order. Raises InputError where one failed, as the others alone say less."""
    found = run(values, jobs)
    refs = {value.name: ref for value in values if (ref := found.get(value.name))}
    if failed := [value.name for value in values if value.name not in refs]:
        raise InputError(f"{', '.join(failed)}: failed, so there is no table: {_why(failed[0])}")
    return list(refs.values())


def _why(name: str) -> str:
    """The sentence with which a stage of this experiment failed; without one, where to look."""
    found: list[str] = []
    with contextlib.suppress(InputError):
        found = re.findall(r"^error: (.+)$", dvc("queue", "logs", name), re.M)
    return found[-1] if found else f"`dvc queue logs {name}` shows why"


def run(values: Sequence[Value], jobs: int) -> dict[str, str | None]:
    """Every value as an experiment, `jobs` at a time: its name -> its commit, None where it failed. Prints what happens.

    Raises InputError: git or DVC refuses.
    """
    check_git()
    return {task.name: task.ref for task in _wait(_put(values), jobs)}


def run_command(main: Callable[[], int | None]) -> None:
    """`stages.core.errors.run_command` for a command that waits for the queue: Ctrl-C says what becomes of that."""

    def interruptible() -> int | None:
        try:
            return main()
        except KeyboardInterrupt:
            print("interrupted: the queue goes on with what it has, and the same command waits for it again;")
            print("`dvc queue stop --kill` ends what runs, `dvc queue remove --queued` forgets what waits")
            return 130

    errors.run_command(interruptible)


def _put(values: Sequence[Value]) -> list[str]:
    """The values' revisions in the queue. One that waits or runs, from an interrupted call, is not put there again."""
    names, tasks = {value.name for value in values}, _tasks()
    going = {task.name for task in tasks.values() if task.state not in ENDED}
    # Names are taken once for each commit. `dvc exp run --force` would free them too, but repeat every stage of theirs.
    head = git("rev-parse", "HEAD") or ""
    if old := sorted({task.name for task in tasks.values() if task.name in names & going and task.base not in (None, head)}):
        raise InputError(f"{', '.join(old)}: in the queue since an earlier commit; `dvc queue remove {' '.join(old)}` first")
    taken = git("for-each-ref", "--format=%(refname:lstrip=4)", f"refs/exps/{head[:2]}/{head[2:]}") or ""
    if old := sorted(names & set(taken.split()) - going):
        dvc("exp", "remove", *old)
    if old := [rev for rev, task in _tasks().items() if task.state in ENDED and task.name in names]:
        dvc("queue", "remove", *old)
    for value in values:
        if value.name not in going:
            dvc("exp", "run", "--queue", "-n", value.name, *value.arguments)
        print(f"{value.name}: {'in the queue already' if value.name in going else 'queued'}", flush=True)
    return [rev for rev, task in _tasks().items() if task.name in names]


def _wait(revs: Sequence[str], jobs: int) -> list[Task]:
    """Start workers; the tasks, once all have ended. Prints every change."""
    states = dict.fromkeys(revs, "Queued")
    _start(jobs)
    while True:
        at_work = _at_work()  # asked before the tasks: what runs after there was no worker is nobody's
        tasks = {rev: task for rev, task in _tasks().items() if rev in revs}
        ended = sum(task.state in ENDED for task in tasks.values())
        for rev, task in tasks.items():
            if states[rev] != task.state:
                print(f"{task.name}: {task.state.lower()} ({ended} of {len(revs)} done)", flush=True)
        if ended == len(tasks):  # one that somebody has removed will not end
            return list(tasks.values())
        if not at_work and any(task.state == "Queued" for task in tasks.values()):
            _start(jobs)
        elif not at_work:
            dvc("queue", "kill", *(rev for rev, task in tasks.items() if task.state not in ENDED))
        states |= {rev: task.state for rev, task in tasks.items()}
        time.sleep(POLL_SECONDS)


def _tasks() -> dict[str, Task]:
    """The queue's entries by their revision."""
    from dvc.repo import Repo

    with Repo() as repo:
        queue = repo.experiments.celery_queue
        states = {entry["rev"]: (entry["name"], entry["status"]) for entry in queue.status()}
        refs = {done.entry.stash_rev: str(done.result.ref_info) for done in queue.iter_success()}
        bases = {entry.stash_rev: entry.baseline_rev for entry in (*queue.iter_queued(), *queue.iter_active())}
    return {rev: Task(name, state, refs.get(rev), bases.get(rev)) for rev, (name, state) in states.items()}


def _start(jobs: int) -> None:
    dvc("queue", "start", "-j", str(jobs))
    for _ in range(START_SECONDS):
        if _at_work():
            return
        time.sleep(1)
    raise InputError("the queue's workers do not start; .dvc/tmp/exps/celery/*.out says why")


def _at_work() -> bool:
    """Whether a worker lives. Asking it, as DVC does, may go unanswered for a second where the machine is busy."""
    for file in Path(".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json"):
        worker = json.loads(file.read_text())
        with contextlib.suppress(ProcessLookupError):
            if worker["returncode"] is None:
                os.kill(worker["pid"], 0)
                return True
    return False


def dvc(*arguments: str) -> str:
    """What a command of DVC's prints. Raises InputError if it fails.

    It sees no Ctrl-C and is waited for, since queueing takes the working tree's changes away for a moment. It has a session
    of its own, so that the workers it may start outlive the terminal.
    """
    command, interrupted = [sys.executable, "-m", "dvc", *arguments], False
    with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open as long as the workers, which inherit it
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        while process.returncode is None:
            try:
                process.wait()
            except KeyboardInterrupt:
                interrupted = True
        output.seek(0)
        said = output.read()
    if interrupted:
        raise KeyboardInterrupt
    if process.returncode:
        raise InputError(f"`{shlex.join(['dvc', *arguments])}` failed: {' '.join(said.split())}")
    return said
