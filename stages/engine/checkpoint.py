"""Atomic checkpoints, and the state of a run in progress.

A checkpoint is a dictionary that `torch.load` reads with weights_only: nothing in it can execute. It carries the weights
and the parameters, statistics and history that they came from.

The state of a run in progress lives in $DVC_ROOT/.resume/<run>/<fingerprint>/, because DVC deletes a stage's outputs before
it runs, and shares a persisted output with the next experiment. The fingerprint covers parameters, code and data, so
that changed ones never pick up an old state.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from stages.engine import paths
from stages.engine.errors import InputError


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that at every moment `path` holds either the old file or the whole new one."""
    with paths.replacing(path) as partial, partial.open("wb") as file:
        torch.save(content, file)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, on the CPU. Raises InputError if there is none or it is damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; `dvc repro` trains it, `dvc pull` fetches it")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a damaged or foreign file
        raise InputError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint(settings: Any, files: list[Path]) -> str:
    """A short hash of what decides a run's result: settings (anything JSON can hold) and the files' contents."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for file in files:
        digest.update(file.as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


class Resume:
    """The saved state of one run in progress."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / "state.pt"

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None."""
        return load(self._file) if self._file.is_file() else None

    def save(self, state: dict[str, Any]) -> None:
        save(self._file, state)

    def discard(self) -> None:
        """Forget the state: the run is finished."""
        shutil.rmtree(self._folder)


@contextmanager
def resuming(folder: Path) -> Iterator[Resume]:
    """The state in `folder`, for this process alone. Raises InputError while another trainer holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise InputError(f"{folder}: process {lock.read()} is training this very run; wait for it or stop it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield Resume(folder)
