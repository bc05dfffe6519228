"""`train.start_from`: training begins with weights that another training left, not with weights drawn at random."""

from typing import Any

from torch import nn

from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash
from stages.data import checkpoint


def warm_start(model: nn.Module, name: str, run: Run, stats: dict[str, Any]) -> None:
    """Give `model` the weights of run.train.start_from, if there is one. stats: of the data that it will be trained on.

    Its last layer, the head, stays as it was drawn where the classes are others, or where it alone has other tensors: that
    of ArcFace has no bias. A line says so. Raises InputError where the file is not there or has other content than
    params.yaml says, and for weights of another network or of other layers, which it names.
    """
    start, key = run.train.start_from, f"runs.{name}.train.start_from"
    if start is None:
        return
    file = paths.root() / start.file
    if file.resolve().is_relative_to((paths.root() / paths.model(name)).resolve()):
        raise InputError(f"{key}.file: {start.file} lies in the run's own folder, which DVC empties first; take a copy")
    if not file.is_file():
        raise InputError(f"{key}.file: {file}: no such file; `dvc checkout` brings back one that DVC knows")
    if (digest := file_hash(file)) != start.sha256:
        raise InputError(f"{key}.sha256: the SHA-256 of {start.file} is {digest}; write that, if this content is meant")
    saved = checkpoint.load_trained(file)
    if (network := saved["run"]["model"]["name"]) != run.model.name:
        raise InputError(f"{key}.file: {start.file} has the weights of {network}, and the run trains {run.model.name}")
    own, given = model.state_dict(), saved["weights"]
    differ = {}
    for tensor in own | given:
        here, there = (tuple(weights[tensor].shape) if tensor in weights else None for weights in (own, given))
        if here is None or there is None:
            differ[tensor] = f"not in the {'network' if here is None else 'file'}"
        elif here != there:
            differ[tensor] = f"{there} in the file, {here} in the network"
    head = next(reversed(own)).rpartition(".")[0]  # the networks' last layer
    if wrong := [f"{tensor} ({why})" for tensor, why in differ.items() if tensor.rpartition(".")[0] != head]:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise InputError(f"{key}.file: {start.file} does not fit runs.{name}.model: {', '.join(wrong[:5])}{more}")
    print(f"starting from {start.file}, of epoch {saved['epoch']}", flush=True)
    if differ or saved["stats"].get("classes") != stats.get("classes"):
        given = {tensor: weights for tensor, weights in given.items() if tensor.rpartition(".")[0] != head}
        why = ", ".join(f"{tensor}: {what}" for tensor, what in differ.items()) or "as many classes of other names"
        print(f"{head} is drawn anew ({why})", flush=True)
    model.load_state_dict(own | given)
