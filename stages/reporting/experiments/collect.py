"""DVC's experiments and the commits that they start from: the parameters, metrics and curves of each.

DVC lists the experiments; git has what they hold. DVC itself would resolve all stages of dvc.yaml for every commit.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML

from stages.core import paths
from stages.core.errors import InputError
from stages.reporting.collect import Curve, curves
from stages.reporting.environment import git
from stages.reporting.page import flatten

COMMITS = 5  # of those that changed a metric, the last ones are shown


@dataclass(frozen=True)
class Contents:
    """What a version of the project says and holds."""

    params: dict[str, Any]  # by dotted key
    metrics: dict[str, dict[str, Any]]  # by run, then by dotted name: the headline numbers
    curves: dict[str, dict[str, dict[str, Curve]]]  # by run, then as collect.curves has them


@dataclass(frozen=True)
class Version:
    """A commit, an experiment, or the files as they are here."""

    name: str  # unique
    state: str  # done, running, queued or failed
    created: str
    subject: str  # of a commit, or what else there is to say
    contents: Contents
    base: "Version | None"  # what an experiment started from; of a commit the one before it that is shown
    is_experiment: bool = False

    def has(self, run: str) -> bool:
        return run in self.contents.metrics or run in self.contents.curves

    def has_own(self, run: str) -> bool:
        """Whether it came to something else than its base."""
        own, other = self.contents, self.base.contents if self.base else Contents({}, {}, {})
        return any(
            run in mine and mine[run] != theirs.get(run)
            for mine, theirs in ((own.metrics, other.metrics), (own.curves, other.curves))
        )


class Task(NamedTuple):
    """An experiment's commit or, as long as it has none of its own, the commit that DVC queued, and where it runs."""

    name: str
    state: str
    rev: str
    base: str
    folder: Path | None = None


class Commit(NamedTuple):
    short: str
    created: str
    subject: str


def collect() -> list[Version]:
    """The workspace where it differs, then commits, newest first, each followed by its experiments.

    Raises InputError: no repository with a commit, or DVC refuses.
    """
    head = git("rev-parse", "HEAD")
    if head is None:
        raise InputError("experiments are commits, and this is no git repository with a commit: git init, add and commit")
    tasks = _tasks()
    metrics = (git("log", f"-{COMMITS}", "--format=%H", "--", ":(glob)metrics/*.json") or "").split()
    bases = {head, *metrics, *(task.base for task in tasks)}
    log = _log(bases | {task.rev for task in tasks})
    branch = git("symbolic-ref", "--short", "--quiet", "HEAD")
    commits: dict[str, Version] = {}
    before = None
    for rev in [rev for rev in reversed(log) if rev in bases]:
        name = branch if branch and rev == head else log[rev].short
        before = commits[rev] = Version(name, "done", log[rev].created, log[rev].subject, _at(rev), before)
    here = Version("workspace", "done", "", "the files as they are here", _here(commits[head].contents), commits[head])
    found = [here] if here.contents != commits[head].contents else []
    names = [task.name for task in tasks]
    for base, commit in reversed(commits.items()):
        found.append(commit)
        for task in [task for rev in log for task in tasks if task.rev == rev and task.base == base]:
            name = task.name if names.count(task.name) == 1 else f"{task.name} ({log[task.rev].short})"
            found.append(Version(name, task.state, log[task.rev].created, "", _of_task(task), commit, is_experiment=True))
    return found


def _tasks() -> list[Task]:
    """All experiments that there are, of every commit."""
    try:
        with Repo() as repo:
            done = repo.experiments.ls(all_commits=True)
            queue = repo.experiments.celery_queue
            waiting = [("queued", entry, None) for entry in queue.iter_queued()]
            waiting += [("running", entry, queue.get_infofile_path(entry.stash_rev)) for entry in queue.iter_active()]
            waiting += [("failed", task.entry, None) for task in queue.iter_failed()]
    except DvcException as error:
        raise InputError(f"DVC does not list its experiments: {error}") from error
    tasks = [Task(name, "done", rev, base) for base, found in done.items() for name, rev in found]
    for state, entry, info in waiting:
        folder = Path(json.loads(Path(info).read_text())["root_dir"]) if info and Path(info).is_file() else None
        tasks.append(Task(entry.name, state, entry.stash_rev, entry.baseline_rev, folder))
    return tasks


def _log(revs: Collection[str]) -> dict[str, Commit]:
    """Each of these commits, newest first."""
    lines = git("log", "--no-walk=sorted", "--date=format:%Y-%m-%d %H:%M", "--format=%H%x09%h%x09%cd%x09%s", *revs) or ""
    return {rev: Commit(*rest) for rev, *rest in (line.split("\t", 3) for line in lines.splitlines())}


def _here(head: Contents) -> Contents:
    """The workspace. As long as a run is in training, its old numbers lie beside its new curves: these are left out."""
    here = _read(Path())
    stale = {
        run
        for run in here.curves
        if here.curves[run] != head.curves.get(run) and here.metrics.get(run) == head.metrics.get(run)
    }
    return Contents(here.params, {run: here.metrics[run] for run in here.metrics if run not in stale}, here.curves)


def _of_task(task: Task) -> Contents:
    """What has not ended holds the results of its base yet, but for the curves of what it trains."""
    contents = _read(task.folder) if task.folder else _at(task.rev)
    if task.state == "done":
        return contents
    return Contents(contents.params, {}, contents.curves if task.state == "running" else {})


def _at(rev: str) -> Contents:
    """What a commit holds."""
    listed = git("ls-tree", "--name-only", rev, str(paths.PARAMS), "metrics")
    with tempfile.TemporaryDirectory() as folder:
        if listed:
            command = ["git", "archive", rev, *listed.splitlines(), ":(exclude)*.png"]
            archive = subprocess.run(command, capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder, filter="data")
        return _read(Path(folder))


def _read(folder: Path) -> Contents:
    """What the project in a folder holds."""
    params = folder / paths.PARAMS
    runs = [file.name for file in (folder / "metrics").glob("*") if file.is_dir()]
    return Contents(
        flatten(YAML(typ="safe").load(params) or {}) if params.is_file() else {},
        {file.stem: flatten(json.loads(file.read_text())) for file in (folder / "metrics").glob("*.json")},
        {run: found for run in runs if (found := curves(folder / paths.history(run)))},
    )
