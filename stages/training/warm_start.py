"""`train.start_from`: training starts from the weights of another training instead of random ones."""

from torch import nn

from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError
from stages.core.hashes import file_hash
from stages.data import checkpoint
from stages.data.statistics import Stats


def warm_start(model: nn.Module, name: str, run: Run, stats: Stats) -> None:
    """Load the weights of run.train.start_from, if set, into `model`. stats: of the data that it will be trained on.

    The last layer, the head, keeps its random weights, and a line says so, if its classes or its tensors differ; ArcFace's
    has no bias. Raises InputError if the file is missing or does not have the SHA-256 in params.yaml, or if its weights are
    of another network or other layers.
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
    if (network := saved.run["model"]["name"]) != run.model.name:
        raise InputError(f"{key}.file: {start.file} has the weights of {network}, and the run trains {run.model.name}")
    own, given = model.state_dict(), saved.weights
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
    print(f"starting from {start.file}, of epoch {saved.epoch}", flush=True)
    if differ or saved.stats.get("classes") != vars(stats).get("classes"):
        given = {tensor: weights for tensor, weights in given.items() if tensor.rpartition(".")[0] != head}
        why = ", ".join(f"{tensor}: {what}" for tensor, what in differ.items()) or "as many classes of other names"
        print(f"{head} is drawn anew ({why})", flush=True)
    model.load_state_dict(own | given)
