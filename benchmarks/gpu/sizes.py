"""The sizes of the measurements: the real ones, and tiny ones to test the code on a CPU."""

import dataclasses
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.config import params
from stages.config.schema import Params
from stages.core import paths
from stages.tasks import load_params


@dataclass(frozen=True)
class Sizes:
    compiles: bool  # measure compiled networks, too
    matmul: int  # side of the matrices whose product gives the peak
    seconds: float  # of each throughput measurement
    warm_up: int  # steps before it
    steps: int  # timed steps, of which the median counts
    cifar_seeds: int
    cifar_images: int  # synthetic, without CIFAR-10
    cifar_dev: int
    cifar_epochs: int | None  # None: the run's
    cifar_width: int
    cifar_range_steps: int  # of the range test
    faces_side: int
    faces_classes: int
    faces_width: int
    faces_batches: tuple[int, ...]
    faces_images: int
    speech_utterances: int
    speech_batch: int
    speech_hidden: int
    speech_decoder: int


FULL = Sizes(
    compiles=True,
    matmul=8192,
    seconds=5.0,
    warm_up=12,
    steps=24,
    cifar_seeds=5,
    cifar_images=50_000,
    cifar_dev=10_000,
    cifar_epochs=None,
    cifar_width=64,
    cifar_range_steps=200,
    faces_side=224,
    faces_classes=7000,
    faces_width=64,
    faces_batches=(128, 256),
    faces_images=16_384,
    speech_utterances=28_539 // 8,
    speech_batch=64,
    speech_hidden=256,
    speech_decoder=2048,
)
SMALL = Sizes(
    compiles=False,
    matmul=128,
    seconds=0.05,
    warm_up=1,
    steps=5,
    cifar_seeds=2,
    cifar_images=96,
    cifar_dev=32,
    cifar_epochs=2,
    cifar_width=2,
    cifar_range_steps=10,
    faces_side=32,
    faces_classes=10,
    faces_width=2,
    faces_batches=(8,),
    faces_images=24,
    speech_utterances=12,
    speech_batch=2,
    speech_hidden=4,
    speech_decoder=8,
)


def full_params() -> Params:
    """Read params.yaml as for real data, without sample blocks and overrides."""
    content = params.read(paths.PARAMS)
    for settings in content["tasks"].values():
        settings["source"] = "public"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "params.yaml"
        file.write_text(json.dumps(content | {"lr": None, "epochs": None, "batch_size": None}))
        return load_params(file)


def at_size(loaded: Params, run: str, **changes: Any) -> Params:
    """Return the parameters with changes to one run; `model` changes some of the model's keys."""
    before = loaded.run(run).with_epochs(changes.pop("epochs", loaded.run(run).epochs))
    model = dataclasses.replace(before.model, **changes.pop("model", {}))
    changed = dataclasses.replace(before, model=model, **changes)
    return dataclasses.replace(loaded, runs=loaded.runs | {run: changed})
