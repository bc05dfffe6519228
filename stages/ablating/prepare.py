"""What experiments need before the first of them: a commit to start from, and the stages that they share."""

import subprocess
import sys

from stages.core.errors import InputError
from stages.reporting.environment import git


def check_git() -> None:
    """Tell of new files that git does not know. Raises InputError: no commit, or nobody to make one."""
    if git("rev-parse", "--verify", "HEAD") is None:
        raise InputError("experiments are commits, and this is no git repository with a commit: git init, add and commit")
    if git("var", "GIT_COMMITTER_IDENT") is None:
        raise InputError("git does not know who you are: git config user.name '…' and git config user.email '…'")
    if new := git("ls-files", "--others", "--exclude-standard", "stages"):
        print(f"unknown to git and so not part of the experiments (git add them): {', '.join(new.splitlines())}")


def repro(target: str) -> None:
    """`dvc repro`, which sees Ctrl-C too and is waited for. Raises InputError if it fails."""
    process = subprocess.Popen([sys.executable, "-m", "dvc", "repro", target])
    try:
        failed = process.wait()
    except KeyboardInterrupt:
        process.wait()  # it was interrupted too, and saves what it has
        raise
    if failed:
        raise InputError(f"`dvc repro {target}`, which all experiments need, failed; see above")
