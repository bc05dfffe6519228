"""A clone of the project for one trial: its working tree is the project's of when the sweep began, its cache the project's.

`dvc exp run --temp` makes such a copy, too. But it takes the changes of the working tree away for a moment, and of two that
start together one may run the other's experiment.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stages.core import paths
from stages.core.errors import InputError


@dataclass(frozen=True)
class Snapshot:
    """The project as git knows it. commit: HEAD; tree: a commit of the files in the working tree."""

    commit: str
    tree: str

    @classmethod
    def take(cls) -> "Snapshot":
        """Of now. It changes nothing in the project."""
        commit = _git("rev-parse", "HEAD")
        return cls(commit, _git("stash", "create") or commit)

    def ref(self, name: str) -> str:
        """Of the experiment `name`."""
        return f"refs/exps/{self.commit[:2]}/{self.commit[2:]}/{name}"


def make(folder: Path, run: str, snapshot: Snapshot) -> None:
    """Clone the project into `folder`, without the history of the run's last training, which is not the trial's.

    Raises InputError where git refuses.
    """
    from dvc.config import Config
    from dvc.repo import Repo

    identity = re.fullmatch(r"(.*) <(.*)> .*", _git("var", "GIT_COMMITTER_IDENT"))
    assert identity
    who = ("-c", f"user.name={identity[1]}", "-c", f"user.email={identity[2]}")
    _git("clone", "--quiet", "--shared", "--no-checkout", *who, ".", str(folder))
    _git("-C", str(folder), "checkout", "--quiet", "--detach", snapshot.commit)
    _git("-C", str(folder), "read-tree", "-u", "--reset", snapshot.tree)
    with Repo() as project, Config(str(folder / ".dvc")).edit("local") as config:
        config.update(project.config.read("local"))
        config.setdefault("cache", {})["dir"] = project.cache.local_cache_dir
    for file in (folder / paths.history(run)).rglob("*.tsv"):
        file.unlink()


def fetch(folder: Path, ref: str) -> None:
    """An experiment of the clone into the project. Raises InputError where git refuses."""
    _git("fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", str(folder), f"+{ref}:{ref}")


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"`git {' '.join(arguments)}` failed: {' '.join(result.stderr.split())}")
    return result.stdout.strip()
