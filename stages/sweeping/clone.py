"""Clones of the project for trials, with its working tree at the start of the sweep, and its cache.

`dvc exp run --temp` also makes a copy, but it briefly removes uncommitted changes from the working tree, and of two that
start together one may run the other's experiment.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from stages.core.errors import InputError


@dataclass(frozen=True)
class Snapshot:
    """The state of the project in git. commit: HEAD; tree: a commit of the working tree."""

    commit: str
    tree: str

    @classmethod
    def take(cls) -> "Snapshot":
        """Take a snapshot of the current state, without changing the project.

        Reads a copy of git's index, because an editor that watches the project locks the index now and then.
        """
        commit = _git("rev-parse", "HEAD")
        with TemporaryDirectory() as folder:
            index = Path(folder) / "index"
            # With its time: git compares a file's content if it was written in the same second as the index.
            shutil.copy2(_git("rev-parse", "--git-path", "index"), index)
            # It refreshes the index. `stash create` fails without a reason if a file was touched but is the same.
            _git("status", "--untracked-files=no", GIT_INDEX_FILE=str(index))
            return cls(commit, _git("stash", "create", GIT_INDEX_FILE=str(index)) or commit)

    def ref(self, name: str) -> str:
        """Return the ref of the experiment `name`."""
        return f"refs/exps/{self.commit[:2]}/{self.commit[2:]}/{name}"


def make(folder: Path, snapshot: Snapshot) -> None:
    """Clone the project into `folder`. Raises InputError if git fails."""
    from dvc.config import Config
    from dvc.repo import Repo

    identity = re.fullmatch(r"(.*) <(.*)> .*", _git("var", "GIT_COMMITTER_IDENT"))
    assert identity
    user = ("-c", f"user.name={identity[1]}", "-c", f"user.email={identity[2]}")
    _git("clone", "--quiet", "--shared", "--no-checkout", *user, ".", str(folder))
    _git("-C", str(folder), "checkout", "--quiet", "--detach", snapshot.commit)
    _git("-C", str(folder), "read-tree", "-u", "--reset", snapshot.tree)
    with Repo() as project, Config(str(folder / ".dvc")).edit("local") as config:
        config.update(project.config.read("local"))
        config.setdefault("cache", {})["dir"] = project.cache.local_cache_dir


def fetch(folder: Path, ref: str) -> None:
    """Fetch an experiment from the clone into the project. Raises InputError if git fails."""
    _git("fetch", "--quiet", "--no-write-fetch-head", "--no-auto-maintenance", str(folder), f"+{ref}:{ref}")


def _git(*arguments: str, **variables: str) -> str:
    result = subprocess.run(["git", *arguments], env=os.environ | variables, capture_output=True, text=True)
    if result.returncode:
        raise InputError(f"`git {' '.join(arguments)}` failed: {' '.join(result.stderr.split())}")
    return result.stdout.strip()
