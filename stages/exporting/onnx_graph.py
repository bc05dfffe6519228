"""Export of a network to ONNX, and a check that both compute the same.

A graph maps pixels or features to log-probabilities and embeddings, in float32 and for any batch size. The packages are the
extra `export`; they are imported only after `require` has found them.
"""

import importlib.util
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.core.errors import InputError

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # between PyTorch and onnxruntime, relative for values above 1


@dataclass(frozen=True)
class Port:
    """An input or output. shape: numbers, and names for sizes that users choose. meaning: a phrase for the model card."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    meaning: str


@dataclass(frozen=True)
class Graph:
    """A network to export.

    network: from the inputs to a tuple of the outputs, in evaluation mode on the CPU; the file is compared with it.
    portable: the same function in ONNX's operators; the network itself if possible. example: inputs for tracing.
    trials: inputs of other sizes, for the check. labels: the names of the classes.
    """

    network: nn.Module
    portable: nn.Module
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    example: tuple[Tensor, ...]
    trials: Sequence[tuple[Tensor, ...]]
    labels: Sequence[str]


@dataclass(frozen=True)
class Trial:
    """The largest difference between file and network for inputs of these shapes."""

    shapes: list[tuple[int, ...]]
    difference: float


def require() -> None:
    """Raises InputError if a package is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not installed, but an export needs it; run `pip install {' '.join(missing)}`"
        )


def write(graph: Graph, path: Path, notes: dict[str, str]) -> None:
    """Write the graph as an ONNX file, with `notes` and the labels, as JSON, in its metadata."""
    require()
    import onnx_ir

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's, about its own code
        program = torch.onnx.export(
            graph.portable,
            graph.example,
            dynamo=True,
            input_names=[port.name for port in graph.inputs],
            output_names=[port.name for port in graph.outputs],
            dynamic_shapes=tuple(
                {axis: size for axis, size in enumerate(port.shape) if isinstance(size, str)} for port in graph.inputs
            ),
            verbose=False,
        )
    assert program is not None
    model = program.model
    for value, port in zip(model.graph.outputs, graph.outputs, strict=True):
        value.shape = onnx_ir.Shape(port.shape)  # instead of a formula in the inputs' sizes
    for node in model.graph:
        node.metadata_props.clear()  # stack traces, with this machine's paths
    model.metadata_props.update(notes | {"labels": json.dumps(list(graph.labels), ensure_ascii=False)})
    program.save(path, external_data=False)


def check(graph: Graph, path: Path) -> list[Trial]:
    """Run the file on the graph's trials with onnxruntime. Raises InputError if it differs from the network."""
    require()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    trials = []
    for inputs in graph.trials:
        with torch.no_grad():
            expected = [output.numpy() for output in graph.network(*inputs)]
        named = {port.name: tensor.numpy() for port, tensor in zip(graph.inputs, inputs, strict=True)}
        found = session.run([port.name for port in graph.outputs], named)
        trial = Trial([tuple(tensor.shape) for tensor in inputs], max(map(_difference, expected, found)))
        if not trial.difference <= TOLERANCE:  # also nan
            shapes = ", ".join(map(str, trial.shapes))
            raise InputError(f"{path.name}: differs from the network by {trial.difference:.2g} for inputs of shape {shapes}")
        trials.append(trial)
    return trials


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return float("inf")
    return float((np.abs(expected - found) / np.maximum(np.abs(expected), 1)).max(initial=0))


class Pixels(nn.Module):
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, normalised. mean, std: per channel, in 0 to 255."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, images: Tensor) -> Tensor:
        return ((images.float() - self.mean) / self.std).permute(0, 3, 1, 2)


def random_images(num: int, side: int) -> Tensor:
    """Return reproducible random images (num, side, side, 3) uint8."""
    return torch.from_numpy(np.random.default_rng((num, side)).integers(0, 256, (num, side, side, 3), np.uint8))
