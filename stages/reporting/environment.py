"""The versions with which the page was made. Torch is asked for its version without importing it.

Nothing here may differ between two clones of one commit on one kind of machine, or DVC would take the page for changed.
"""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "torchvision", "torchaudio", "numpy", "opencv-python-headless", "albumentations", "dvc", "dvclive")


def environment() -> dict[str, str]:
    """Name -> value, for a table."""
    versions = {name: found for name in PACKAGES if (found := _version(name))}
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **versions}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def git(*arguments: str) -> str | None:
    """What git prints, or None if it is not there or refuses."""
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
