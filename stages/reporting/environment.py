"""Where the page was made: the commit and the versions. Torch is asked for its version without importing it."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "torchvision", "torchaudio", "numpy", "opencv-python-headless", "albumentations", "dvc", "dvclive")
CODE = ("stages", "params.yaml", "dvc.yaml")  # what, uncommitted, would make the commit say too little


def environment() -> dict[str, str]:
    """Name -> value, for a table."""
    versions = {name: found for name in PACKAGES if (found := _version(name))}
    return {"git commit": _commit(), "Python": platform.python_version(), **versions}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    commit = git("rev-parse", "--short=12", "HEAD")
    if commit is None:
        return "not in a git repository"
    return (
        f"{commit}, with uncommitted changes of code or parameters" if git("status", "--porcelain", "--", *CODE) else commit
    )


def git(*arguments: str) -> str | None:
    """What git prints, or None if it is not there or refuses."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
