"""Atomic checkpoints.

A checkpoint is a dictionary that `torch.load` reads with weights_only: nothing in it can execute. It carries the weights
and the parameters, statistics and history that they came from. It is a zip archive, whose comment is the SHA-256 of all that
comes before; PyTorch itself does not notice a flipped bit.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash

# What `train` writes, and of what kind.
TRAINED = {"run": dict, "lr": float, "seed": int, "stats": dict, "data": str} | {
    "history": list,
    "epoch": int,
    "weights": dict,
}


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
        raise InputError(f"{path}: damaged or foreign: its checksum does not match; `dvc repro -f` makes it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a foreign file
        raise InputError(f"{path}: not a readable checkpoint ({type(error).__name__})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a checkpoint, for it holds a {type(content).__name__}")
    return content


def load_trained(path: Path) -> dict[str, Any]:
    """A checkpoint that `train` wrote. Raises InputError as `load` does, and if it is another program's or not finite."""
    saved = load(path)
    again = f"`dvc repro -f train@{path.parent.name}` makes it again"
    for key, kind in TRAINED.items():
        if not isinstance(saved.get(key), kind):
            raise InputError(f"{path}: is not a checkpoint of this project, for its {key!r} is missing or wrong; {again}")
    for name, tensor in saved["weights"].items():
        if not isinstance(tensor, torch.Tensor):
            raise InputError(
                f"{path}: is not a checkpoint of this project, for {name!r} in its weights is no tensor; {again}"
            )
        if not tensor.isfinite().all():
            raise InputError(f"{path}: {name!r} in its weights is not finite, so nothing can be said with them; {again}")
    return saved


def restore(build: Callable[[], nn.Module], path: Path, saved: dict[str, Any]) -> nn.Module:
    """The network that `build` makes, with the weights of `load_trained`. Raises InputError if they do not fit."""
    try:
        model = build()
        model.load_state_dict(saved["weights"])
    except (RuntimeError, TypeError, KeyError):
        again = f"`dvc repro train@{path.parent.name}` trains it again"
        raise InputError(f"{path}: does not fit the network as its code is now; {again}") from None
    return model


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
        digest.update(f"{path.relative_to(root).as_posix()}{file_hash(path)}".encode())
    return digest.hexdigest()[:16]
