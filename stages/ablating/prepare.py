"""Preparation of experiments: a commit to start from, and the stages that they share."""

import subprocess
import sys

from stages.config.check import nearest
from stages.config.schema import Params, Run
from stages.core.errors import InputError
from stages.reporting.environment import git


def check_git() -> None:
    """Print new files that git does not know. Raises InputError without a commit, or without a git user."""
    if git("rev-parse", "--verify", "HEAD") is None:
        raise InputError("experiments need a git repository with a commit: git init, git add, git commit")
    if git("var", "GIT_COMMITTER_IDENT") is None:
        raise InputError("git does not know who you are: git config user.name '…' and git config user.email '…'")
    if new := git("ls-files", "--others", "--exclude-standard", "stages"):
        print(f"unknown to git and so not part of the experiments (git add them): {', '.join(new.splitlines())}")


def chosen_run(name: str, command: str, params: Params) -> Run:
    """Return the run that `make COMMAND RUN=name` names.

    Raises InputError if it names none, an unknown one, or one that has no dev score to compare.
    """
    if not name:
        example = f"`make {command} RUN={next(iter(params.runs))}`"
        raise InputError(f"name a run, as in {example}; {nearest('', params.runs)}")
    run = params.run(name)
    if run.train.final:
        raise InputError(f"runs.{name}.train.final: trains on dev, too, and leaves no score to compare; set it to false")
    return run


def repro(target: str) -> None:
    """Run `dvc repro`, and wait for it even after Ctrl-C. Raises InputError if it fails."""
    process = subprocess.Popen([sys.executable, "-m", "dvc", "repro", target])
    try:
        failed = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it received Ctrl-C, too, and saves its state
        raise
    if failed:
        raise InputError(f"`dvc repro {target}`, which all experiments need, failed; see above")
