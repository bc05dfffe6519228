"""The saved state of a run in progress.

It lives in $DVC_ROOT/.resume/<run>/<fingerprint>/, because DVC deletes a stage's outputs before it runs, and shares a
persisted output with the next experiment; or in $RESUME_DIR/<run>/<fingerprint>/. The fingerprint covers parameters, code
and data: a training that differs in any of them never continues from an old state. One on another machine does.
What is kept of a training that ended is a matter of finished.py.

A state is a dictionary that `torch.load` reads with weights_only: nothing in it can execute. It is a zip archive, whose
comment is the SHA-256 of all that comes before; PyTorch itself does not notice a flipped bit.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from stages.core import paths
from stages.core.errors import InputError
from stages.core.locks import Locked, locked

STATE = "state.pt"
WAIT = 60.0  # seconds; a trainer whose DVC was killed notices it and stops after its next step


class Resume:
    """Saves the state of one run, at most once in `minutes`. Without a folder it keeps nothing.

    machine: all that may change bits and is no part of the fingerprint, in words.
    """

    def __init__(self, folder: Path | None, minutes: float = 0.0, machine: str = "") -> None:
        self._folder, self._seconds, self._machine, self._saved = folder, 60 * minutes, machine, time.monotonic()
        self.otherwise: Callable[[], dict[str, Any] | None] = lambda: None  # where to begin if no state was saved

    def load(self) -> dict[str, Any] | None:
        """The last saved state; None if there is none. A damaged or foreign one is reported and counts as none.

        One of another kind of machine is reported, too.
        """
        if self._folder is None or not (file := self._folder / STATE).is_file():
            return self.otherwise()
        try:
            found = _read(file)
            if found.get("training") != self._folder.name:
                raise InputError(f"{file}: is not a state of this training")
        except InputError as error:
            print(f"{error}: training starts from the beginning")
            return None
        if (other := found["machine"]) != self._machine:
            print(f"the saved state is of {other}; this is {self._machine}: bits may differ from those of one machine")
        state: dict[str, Any] = found["state"]
        return state

    @property
    def is_due(self) -> bool:
        """Whether it is time to save again."""
        return time.monotonic() - self._saved > self._seconds

    def save(self, state: dict[str, Any]) -> None:
        if self._folder is not None:
            about = {"training": self._folder.name, "machine": self._machine}
            write(self._folder / STATE, about | {"state": state})
        self._saved = time.monotonic()

    def discard(self) -> None:
        """Remove the state: the run is finished."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def resuming(folder: Path, minutes: float = 0.0, machine: str = "") -> Iterator[Resume]:
    """The state in `folder`, for this process alone. Raises InputError if another one trains this run for a minute more."""
    try:
        with locked(folder.parent / f"{folder.name}.lock", WAIT):
            folder.mkdir(exist_ok=True)
            yield Resume(folder, minutes, machine)
    except Locked as holder:
        raise InputError(f"{folder}: process {holder} is training this very run; wait for it or stop it") from None


def write(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that at every moment `path` holds either the old file or the whole new one."""
    with paths.replacing(path) as partial, partial.open("w+b") as file:
        torch.save(content, file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest().encode()
        file.seek(-2, os.SEEK_END)  # the length of the comment, zero so far
        file.write(len(digest).to_bytes(2, "little") + digest)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    """What `write` wrote, on the CPU. Raises InputError if it is damaged or foreign."""
    if not _is_whole(path):
        raise InputError(f"{path}: damaged or foreign: its checksum does not match")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a foreign file
        raise InputError(f"{path}: not a readable state ({type(error).__name__})") from None
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
