"""Trained weights in a file, with the parameters, statistics and history that they came from.

The format is safetensors: nothing in it can execute, and equal content gives equal bytes, whatever a process did before. A
training that was interrupted thus leaves the very file of one that was not, and DVC sees no difference. All but the tensors
is one JSON object in the header's metadata, with a SHA-256 of everything: safetensors itself does not notice a flipped bit.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash

KEY = "checkpoint"  # the only one in the metadata: safetensors writes several in no fixed order
# What `train` writes, and of what kind.
TRAINED = {"run": dict, "lr": float, "seed": int, "stats": dict, "data": str} | {
    "history": list,
    "epoch": int,
}


def save(path: Path, content: dict[str, Any]) -> None:
    """Write `content` so that at every moment `path` holds either the old file or the whole new one.

    content: tensors by name as "weights", and anything else that JSON can hold.
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in content["weights"].items()}
    about = {key: value for key, value in content.items() if key != "weights"}
    text = json.dumps(about | {"sha256": _digest(about, weights)}, sort_keys=True)
    with paths.replacing(path) as partial, partial.open("wb") as file:
        file.write(safetensors.torch.save(weights, {KEY: text}))  # save_file reports a full disk as no OSError
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any]:
    """What `save` was given, on the CPU, as JSON gives it back. Raises InputError if there is no file or it is damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; `dvc repro` trains it, `dvc pull` fetches it")
    try:
        with safetensors.safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dictionary
            text = (file.metadata() or {}).get(KEY, "{}")
        about = json.loads(text)
        whole = about.pop("sha256", None) == _digest(about, weights)
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise InputError(f"{path}: damaged or foreign: its checksum does not match; `dvc repro -f` makes it again")
    return about | {"weights": weights}


def _digest(about: dict[str, Any], weights: dict[str, torch.Tensor]) -> str:
    """SHA-256 of all that a checkpoint holds."""
    kinds = {name: str(tensor.dtype) for name, tensor in weights.items()}
    return hashlib.sha256(json.dumps([about, kinds, weights_hash(weights)], sort_keys=True).encode()).hexdigest()


def load_trained(path: Path) -> dict[str, Any]:
    """A checkpoint that `train` wrote. Raises InputError as `load` does, and if it is another program's or not finite."""
    saved = load(path)
    again = f"`dvc repro -f train@{path.parent.name}` makes it again"
    for key, kind in TRAINED.items():
        if not isinstance(saved.get(key), kind):
            raise InputError(f"{path}: is not a checkpoint of this project, for its {key!r} is missing or wrong; {again}")
    for name, tensor in saved["weights"].items():
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
