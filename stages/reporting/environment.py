"""The versions of Python and packages, read without importing torch.

They must be equal in two clones of a commit on the same kind of machine, or DVC would consider the page changed.
"""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "torchvision", "torchaudio", "numpy", "opencv-python-headless", "albumentations", "dvc", "dvclive")


def environment() -> dict[str, str]:
    """Return the versions by name."""
    versions = {name: found for name in PACKAGES if (found := _version(name))}
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **versions}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """Return git's output, or None if git is missing or fails."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
