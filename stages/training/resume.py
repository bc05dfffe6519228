"""The saved state of a training in progress. For that of a finished one see finished.py.

It is in $DVC_ROOT/.resume/<run>/<fingerprint>/ or $RESUME_DIR/<run>/<fingerprint>/, not in a stage output: DVC deletes
outputs before a stage runs, and shares persisted ones with the next experiment. The fingerprint covers parameters, code and
data: a training that differs in any of them never continues from an old state. A training on another machine does.

A state is a dictionary that `torch.load` reads with weights_only, so it cannot execute code. It is a zip archive, whose
comment is the SHA-256 of everything before it, because PyTorch does not notice a flipped bit.
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
WAIT = 60.0  # seconds; enough for a training whose DVC was killed to stop after its next step


class Resume:
    """Saves the state of one run, at most every `minutes` minutes. Without a folder it saves nothing.

    machine: a description of everything outside the fingerprint that may change bits.
    """

    def __init__(self, folder: Path | None, minutes: float = 0.0, machine: str = "") -> None:
        self._folder, self._seconds, self._machine, self._saved = folder, 60 * minutes, machine, time.monotonic()
        self.fallback: Callable[[], dict[str, Any] | None] = lambda: None  # returns a state if none was saved here

    def load(self) -> dict[str, Any] | None:
        """Return the last saved state, or None. Prints a line if it is damaged or foreign, which counts as none.

        Also prints a line if it is of another kind of machine.
        """
        if self._folder is None or not (file := self._folder / STATE).is_file():
            return self.fallback()
        try:
            found = _read(file)
            if found.get("training") != self._folder.name:
                raise InputError(f"{file}: is not a state of this training")
        except InputError as error:
            print(f"{error}: training starts from the beginning")
            return None
        if (other := found["machine"]) != self._machine:
            print(f"the saved state is from {other}; this is {self._machine}: bits may differ from those of one machine")
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
        """Remove the state of a finished run."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def resuming(folder: Path, minutes: float = 0.0, machine: str = "") -> Iterator[Resume]:
    """Lock the state in `folder` for this process. Raises InputError if another one still trains this run after a minute."""
    try:
        with locked(folder.parent / f"{folder.name}.lock", WAIT):
            folder.mkdir(exist_ok=True)
            yield Resume(folder, minutes, machine)
    except Locked as holder:
        raise InputError(f"{folder}: process {holder} is training this run; wait for it or stop it") from None


def write(path: Path, content: dict[str, Any]) -> None:
    """Write `content` with its checksum. `path` always has either the old file or the complete new one."""
    with paths.replacing(path) as partial, partial.open("w+b") as file:
        torch.save(content, file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest().encode()
        file.seek(-2, os.SEEK_END)  # the length of the comment, zero so far
        file.write(len(digest).to_bytes(2, "little") + digest)
        file.flush()
        os.fsync(file.fileno())


def _read(path: Path) -> dict[str, Any]:
    """Return what `write` wrote, with tensors on the CPU. Raises InputError if it is damaged or foreign."""
    if not _is_whole(path):
        raise InputError(f"{path}: damaged or foreign: its checksum does not match")
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
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
