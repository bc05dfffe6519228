"""Atomic checkpoints, and the state of a run in progress.

A checkpoint is a dictionary that `torch.load` reads with weights_only: nothing in it can execute. It carries the weights
and the parameters, statistics and history that they came from. It is a zip archive, whose comment is the SHA-256 of all that
comes before; PyTorch itself does not notice a flipped bit.

The state of a run in progress lives in $DVC_ROOT/.resume/<run>/<fingerprint>/, because DVC deletes a stage's outputs before
it runs, and shares a persisted output with the next experiment. The fingerprint covers parameters, code and data, so
that changed ones never pick up an old state.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from stages.core import paths
from stages.core.errors import InputError

STATE = "state.pt"
PATIENCE, POLL = 60.0, 0.5  # seconds


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that at every moment `path` holds either the old file or the whole new one."""
    with paths.replacing(path) as partial, partial.open("w+b") as file:
        torch.save(content, file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest().encode()
        file.seek(-2, os.SEEK_END)  # the length of the comment, zero so far
        file.write(len(digest).to_bytes(2, "little") + digest)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any]:
    """A checkpoint, on the CPU. Raises InputError if there is none or it is damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; `dvc repro` trains it, `dvc pull` fetches it")
    if not _is_whole(path):
        raise InputError(f"{path}: damaged or foreign, for its checksum is not right; `dvc repro -f` makes it anew")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a foreign file
        raise InputError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a checkpoint, for it holds a {type(content).__name__}")
    return content


def _is_whole(path: Path) -> bool:
    size, length = path.stat().st_size, hashlib.sha256().digest_size * 2
    with path.open("rb") as file:
        digest, left = hashlib.sha256(), size - length - 2
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        digest.update(bytes(2))
        return file.read() == length.to_bytes(2, "little") + digest.hexdigest().encode()


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 of names, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint(settings: Any, root: Path, files: Iterable[Path]) -> str:
    """A short hash of what decides a run's result: settings (anything JSON can hold) and files under `root`."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in sorted(files):
        with path.open("rb") as file:
            digest.update(path.relative_to(root).as_posix().encode() + hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


class Resume:
    """The saved state of one run in progress; without a folder nothing is kept."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None; None, too, if it is damaged, which is told."""
        if self._folder is None or not (file := self._folder / STATE).is_file():
            return None
        try:
            return load(file)
        except InputError as error:
            print(f"{error.args[0].split(';')[0]}: training starts from the beginning")
            return None

    def save(self, state: dict[str, Any]) -> None:
        if self._folder is not None:
            save(self._folder / STATE, state)

    def discard(self) -> None:
        """Forget the state: the run is finished."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def resuming(folder: Path) -> Iterator[Resume]:
    """The state in `folder`, for this process alone. Waits a minute for another trainer that holds it, then InputError.

    The other one may be an orphan, whose DVC was killed; it notices and stops after its next step.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path, began = folder.parent / f"{folder.name}.lock", time.monotonic()
    while isinstance(lock := _lock(path), str):
        if time.monotonic() - began > PATIENCE:
            raise InputError(f"{folder}: {lock} is training this very run; wait for it or stop it")
        if time.monotonic() - began < POLL:
            print(f"{lock} is training this very run; waiting for it to stop", flush=True)
        time.sleep(POLL)
    with lock:
        folder.mkdir(exist_ok=True)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield Resume(folder)


def _lock(path: Path) -> IO[str] | str:
    """The file, locked by this process, or which other process holds it."""
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    with file:  # held by another, or removed by `stages.interrupted` since it was opened
        file.seek(0)
        return f"process {file.read()}"
