"""Parameters, metrics and curves of DVC's experiments and their base commits.

DVC lists the experiments; their files are read with git, as DVC would resolve all stages of dvc.yaml for every commit.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
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

COMMITS = 5  # the number of last commits that changed a metric to show
DATE, LINE = "%Y-%m-%d %H:%M", "%H%x09%h%x09%cd%x09%s"  # git's formats for a date, and for a commit with date and subject


@dataclass(frozen=True)
class Contents:
    """The contents of a version of the project."""

    params: dict[str, Any]  # by dotted key
    metrics: dict[str, dict[str, Any]]  # the headline metrics, by run, then by dotted name
    curves: dict[str, dict[str, dict[str, Curve]]]  # by run, then as in collect.curves
    weights: dict[str, str]  # the hash of the evaluated weights, by run

    def without_stale(self, base: "Contents") -> "Contents":
        """Drop metrics of the base's weights for runs that were trained again but not evaluated yet."""
        old = {run for run, hash in self.weights.items() if hash == base.weights.get(run)}
        stale = {run for run in old if self.curves.get(run) != base.curves.get(run)}
        return replace(self, metrics={run: found for run, found in self.metrics.items() if run not in stale})


@dataclass(frozen=True, eq=False)
class Version:
    """A commit, an experiment, or the workspace."""

    name: str  # unique
    state: str  # done, running, queued or failed
    created: str
    subject: str  # of the commit
    contents: Contents
    base: "Version | None"  # of an experiment, its base commit; of a commit, the shown one before it
    is_experiment: bool = False

    def has(self, run: str) -> bool:
        return run in self.contents.metrics or run in self.contents.curves

    def has_own(self, run: str) -> bool:
        """Whether the run's results differ from the base's."""
        own, other = self.contents, self.base.contents if self.base else NOTHING
        return any(
            run in mine and mine[run] != theirs.get(run)
            for mine, theirs in ((own.metrics, other.metrics), (own.curves, other.curves))
        )


NOTHING = Contents({}, {}, {}, {})


class Task(NamedTuple):
    """An experiment. rev: its commit or, until it has one, the commit that DVC queued. folder: where it runs."""

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
    """Collect the workspace if it differs, then the commits, newest first, each followed by its experiments.

    Raises InputError if there is no repository with a commit, or DVC fails.
    """
    head = git("rev-parse", "HEAD")
    if head is None:
        raise InputError("experiments need a git repository with a commit: git init, git add, git commit")
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
    current = _read(Path()).without_stale(commits[head].contents)
    workspace = Version("workspace", "done", "", "the current files", current, commits[head])
    found = [] if current == commits[head].contents else [workspace]
    names = [workspace.name, *(commit.name for commit in commits.values()), *(task.name for task in tasks)]
    for base, commit in reversed(commits.items()):
        found.append(commit)
        for task in [task for rev in log for task in tasks if task.rev == rev and task.base == base]:
            name = task.name if names.count(task.name) == 1 else f"{task.name} ({log[task.rev].short})"
            contents = (_read(task.folder) if task.folder else _at(task.rev)).without_stale(commit.contents)
            found.append(Version(name, task.state, log[task.rev].created, "", contents, commit, is_experiment=True))
    return found


def _tasks() -> list[Task]:
    """List all experiments of all commits."""
    try:
        with Repo() as repo:
            done = repo.experiments.ls(all_commits=True)
            queue = repo.experiments.celery_queue
            waiting = [("queued", entry, None) for entry in queue.iter_queued()]
            waiting += [("running", entry, queue.get_infofile_path(entry.stash_rev)) for entry in queue.iter_active()]
            waiting += [("failed", task.entry, None) for task in queue.iter_failed()]
    except DvcException as error:
        raise InputError(f"DVC cannot list its experiments: {error}") from error
    tasks = [Task(name, "done", rev, base) for base, found in done.items() for name, rev in found]
    for state, entry, info in waiting:
        folder = Path(json.loads(Path(info).read_text())["root_dir"]) if info and Path(info).is_file() else None
        tasks.append(Task(entry.name, state, entry.stash_rev, entry.baseline_rev, folder))
    return tasks


def _log(revs: Collection[str]) -> dict[str, Commit]:
    """Return these commits, newest first."""
    lines = git("log", "--ignore-missing", "--no-walk=sorted", f"--date=format:{DATE}", f"--format={LINE}", *revs) or ""
    return {rev: Commit(*rest) for rev, *rest in (line.split("\t", 3) for line in lines.splitlines())}


def _at(rev: str) -> Contents:
    """Read the contents of a commit."""
    listed = git("ls-tree", "--name-only", rev, str(paths.PARAMS), "metrics")
    with tempfile.TemporaryDirectory() as folder:
        if listed:
            command = ["git", "archive", rev, *listed.splitlines(), ":(exclude)*.png"]
            archive = subprocess.run(command, capture_output=True, check=True).stdout
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(folder, filter="data")
        return _read(Path(folder))


def _read(folder: Path) -> Contents:
    """Read the contents of the project in a folder."""
    params = folder / paths.PARAMS
    runs = [file.name for file in (folder / "metrics").glob("*") if file.is_dir()]
    evaluated = {run: file for run in runs if (file := folder / paths.evaluation(run)).is_file()}
    return Contents(
        flatten(YAML(typ="safe").load(params) or {}) if params.is_file() else {},
        {file.stem: flatten(json.loads(file.read_text())) for file in (folder / "metrics").glob("*.json")},
        {run: found for run in runs if (found := curves(folder / paths.history(run)))},
        {run: hash for run, file in evaluated.items() if (hash := json.loads(file.read_text()).get("weights_sha256"))},
    )
