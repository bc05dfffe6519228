"""Checkpoint files: trained weights with the parameters, statistics and history behind them.

The format is safetensors: it cannot execute code, and equal content gives equal bytes, so an interrupted training leaves the
same file as an uninterrupted one. Everything except the tensors is one JSON object in the metadata, with a SHA-256 of the
whole content, since safetensors does not detect flipped bits.
"""

import hashlib
import json
import os
import typing
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash
from stages.data.statistics import Stats

KEY = "checkpoint"  # the only key in the metadata: safetensors writes several in no fixed order


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a training began with."""

    run: dict[str, Any]  # its block of params.yaml, without `evaluate`
    lr: float  # as `find_lr` chose it
    seed: int
    stats: dict[str, Any]  # stats.json of the data
    data: str  # the SHA-256 of the data's list of checksums
    made_up: bool  # the task's source was `sample`


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Origin):
    """A file of `train`."""

    history: list[dict[str, float]]  # of the whole training, a row per epoch
    epoch: int  # of the weights, from 1
    weights: dict[str, torch.Tensor]
    score: float | None = None  # on dev, of the best weights

    def save(self, path: Path) -> None:
        save(path, {name: value for name, value in vars(self).items() if value is not None})


def save(path: Path, content: dict[str, Any]) -> None:
    """Replace `path` atomically. content: tensors by name as "weights", and anything else that JSON can hold."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in content["weights"].items()}
    about = {key: value for key, value in content.items() if key != "weights"}
    text = json.dumps(about | {"sha256": _digest(about, weights)}, sort_keys=True)
    with paths.replacing(path) as partial, partial.open("wb") as file:
        file.write(safetensors.torch.save(weights, {KEY: text}))  # save_file raises no OSError on a full disk
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> dict[str, Any]:
    """Read what `save` wrote, with tensors on the CPU. Raises InputError if the file is absent or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; `dvc repro` trains it, `dvc pull` fetches it")
    try:
        with safetensors.safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a dictionary
            text = (file.metadata() or {}).get(KEY, "{}")
        about = json.loads(text)
        is_intact = about.pop("sha256", None) == _digest(about, weights)
    except (safetensors.SafetensorError, ValueError, TypeError, AttributeError, RecursionError):
        is_intact = False
    if not is_intact:
        raise InputError(f"{path}: damaged or foreign: its checksum does not match; `dvc repro -f` makes it again")
    return about | {"weights": weights}


def _digest(about: dict[str, Any], weights: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of a checkpoint's content."""
    dtypes = {name: str(tensor.dtype) for name, tensor in weights.items()}
    return hashlib.sha256(json.dumps([about, dtypes, weights_hash(weights)], sort_keys=True).encode()).hexdigest()


def load_trained(path: Path) -> Checkpoint:
    """Read a checkpoint of `train`. Raises InputError like `load`, and if it is not one or its weights are not finite."""
    saved = load(path)
    again = f"`dvc repro -f train@{path.parent.name}` makes it again"
    for field in fields(Checkpoint):
        kind: Any = typing.get_origin(field.type) or field.type
        if field.default is MISSING and not isinstance(saved.get(field.name), kind):
            raise InputError(f"{path}: is not a checkpoint of this project: {field.name!r} is missing or wrong; {again}")
    for name, tensor in saved["weights"].items():
        if not tensor.isfinite().all():
            raise InputError(f"{path}: the weight {name!r} is not finite; {again}")
    return Checkpoint(**{field.name: saved[field.name] for field in fields(Checkpoint) if field.name in saved})


def restore(build: Callable[[Any], nn.Module], kind: type[Stats], path: Path, saved: Checkpoint) -> tuple[nn.Module, Any]:
    """Build the network from its statistics and load the weights; return both. Raises InputError if they do not fit."""
    try:
        stats = kind.of(saved.stats, f"{path}: stats")
        model = build(stats)
        model.load_state_dict(saved.weights)
    except (RuntimeError, TypeError, KeyError):
        again = f"`dvc repro train@{path.parent.name}` trains it again"
        raise InputError(f"{path}: does not fit the network's current code; {again}") from None
    return model, stats


def weights_hash(weights: dict[str, torch.Tensor]) -> str:
    """Return the SHA-256 of the names, shapes and bytes of all tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def fingerprint(settings: Any, root: Path, files: Iterable[Path]) -> str:
    """Return a short hash of settings (anything JSON can hold) and files under `root`."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for path in sorted(files):
        digest.update(f"{path.relative_to(root).as_posix()}{file_hash(path)}".encode())
    return digest.hexdigest()[:16]
