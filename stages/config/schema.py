"""The vocabulary of params.yaml: frozen dataclasses whose fields are its keys, one to one.

What each block means stands here once; where its numbers come from is said in params.yaml itself. Torch-free.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from stages.config.check import BelowOne, InsideUnit, NotNegative, PositiveFloat, PositiveInt, Share, nearest
from stages.core.errors import InputError


@dataclass(frozen=True)
class Optimizer:
    name: Literal["sgd", "adam", "adamw"]
    lr: PositiveFloat | Literal["find"]
    weight_decay: Annotated[float, NotNegative] = 0.0
    momentum: Annotated[float, BelowOne] = 0.9  # sgd's momentum, Adam's beta 1
    nesterov: bool = False  # sgd only


@dataclass(frozen=True)
class RangeTest:
    """The learning-rate range test: an exponential sweep from `start` to `end`."""

    steps: PositiveInt
    start: PositiveFloat = 1e-6
    end: PositiveFloat = 10.0


@dataclass(frozen=True)
class Constant:
    name: Literal["constant"]


@dataclass(frozen=True)
class OneCycle:
    """Up from `initial` times the peak to the peak at `pct_start` of all steps, and down to `final` times the peak."""

    name: Literal["one_cycle"]
    pct_start: Annotated[float, InsideUnit]
    initial: Annotated[float, Share] = 0.04
    final: Annotated[float, Share] = 0.04


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up, then half a cosine down to zero at the end of the last epoch."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[float, NotNegative] = 0.0


@dataclass(frozen=True)
class CosineRestarts:
    """Cosine annealing with warm restarts: the first cycle takes `t_0` epochs, each next one `t_mult` times as many."""

    name: Literal["cosine_restarts"]
    t_0: PositiveInt
    t_mult: PositiveInt = 1


@dataclass(frozen=True)
class Plateau:
    """The rate times `factor` when the dev score has not improved for more than `patience` epochs."""

    name: Literal["plateau"]
    factor: Annotated[float, InsideUnit] = 0.5
    patience: Annotated[int, NotNegative] = 2


Schedule = Constant | OneCycle | Cosine | CosineRestarts | Plateau


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when the dev score has not improved for `patience` epochs."""

    patience: PositiveInt


@dataclass(frozen=True)
class Crop:
    """A random window of the image's own size after `padding` pixels of reflection on every side."""

    padding: PositiveInt


@dataclass(frozen=True)
class Flip:
    """Left-right mirror image with probability `p`."""

    p: Annotated[float, Share]


@dataclass(frozen=True)
class ShiftScaleRotate:
    """With probability `p`: shift by up to `shift` of the side, scale by 1 ± `scale`, rotate by ± `rotate` degrees."""

    shift: Annotated[float, Share]
    scale: Annotated[float, BelowOne]
    rotate: Annotated[float, NotNegative]
    p: Annotated[float, Share]


@dataclass(frozen=True)
class Cutout:
    """One square hole of `size` pixels, whole inside the image, filled with the training mean, with probability `p`."""

    size: PositiveInt
    p: Annotated[float, Share] = 1.0


@dataclass(frozen=True)
class Grayscale:
    """The image without its colours, with probability `p`."""

    p: Annotated[float, Share]


@dataclass(frozen=True)
class ColorJitter:
    """Brightness, contrast and saturation, in this order, each times a factor drawn from 1 ± its value."""

    brightness: Annotated[float, BelowOne]
    contrast: Annotated[float, BelowOne]
    saturation: Annotated[float, BelowOne]


@dataclass(frozen=True)
class Erasing:
    """With probability `p` a rectangle of the share `area` of the image, of any proportions, takes the training mean."""

    area: Annotated[float, InsideUnit]
    p: Annotated[float, Share]


@dataclass(frozen=True)
class MixUp:
    """Each batch, with probability `p`, is a weighted mean with itself in another order; weight from Beta(alpha, alpha)."""

    name: Literal["mixup"]
    alpha: PositiveFloat
    p: Annotated[float, Share]


@dataclass(frozen=True)
class CutMix:
    """Each batch, with probability `p`, takes a rectangle from itself in another order; share from Beta(alpha, alpha)."""

    name: Literal["cutmix"]
    alpha: PositiveFloat
    p: Annotated[float, Share]


@dataclass(frozen=True)
class Frames:
    """A batch as a budget of frames, padding included, instead of a number of items; for sequences only."""

    frames: PositiveInt


@dataclass(frozen=True)
class TaskSettings:
    """What every task's block has; a task's package face adds its own fields."""

    inputs: Literal["images", "sequences"]  # the room of stages/ that the task builds on
    source: str | list[str]  # `sample`, `kaggle`, `public` where there is one, or paths of archives and folders
    on_bad: Literal["error", "skip"]
    max_unpacked_gb: PositiveFloat  # archives that would unpack to more are refused
    public: list[str]  # which of the task's public archives the source `public` takes
    competitions: dict[str, str]  # Kaggle's name of the competition, for each of the task's submission files


@dataclass(frozen=True)
class Run:
    """One system: a model and all that its training and evaluation need.

    `batch_size`, `augment`, `loss` and `evaluate` are of `BatchSize`, `Augment`, `Loss` and `Evaluate` in the task's package
    face.
    """

    task: str
    inputs: Literal["images", "sequences"]  # its task's, for the dependencies in dvc.yaml
    model: dict[str, Any]  # name, and the keyword-only arguments of the model's constructor
    optimizer: Optimizer
    range_test: RangeTest
    schedule: Schedule
    epochs: PositiveInt
    batch_size: Any
    loading: Literal["auto", "device", "workers"] | None  # of images; sequences are read from disk as they are needed
    augment: Any
    loss: Any
    ema: Annotated[float, InsideUnit] | None
    clip_norm: PositiveFloat | None
    early_stopping: EarlyStopping | None
    evaluate: Any
    sample: dict[str, Any]


@dataclass(frozen=True)
class Submit:
    """Whether submission files go to Kaggle, and how many minutes to wait for their scores."""

    enabled: bool
    wait_minutes: PositiveFloat


@dataclass(frozen=True)
class Params:
    lr: PositiveFloat | None
    epochs: PositiveInt | None
    batch_size: PositiveInt | None
    seed: Annotated[int, NotNegative]
    launcher: str
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    deterministic: bool
    compile: bool  # the networks that train, by PyTorch's compiler; not where they are evaluated
    checkpoint_minutes: PositiveFloat  # between states saved while training; what a killed run loses at most
    submit: Submit
    tasks: dict[str, Any]  # each of its package face's class Settings
    runs: dict[str, Run]
    # Per run, in words. Not a part of the run, of which a checkpoint keeps all: no number depends on it.
    reached_before: dict[str, str] = dataclasses.field(default_factory=dict)
    # Not a key of params.yaml: per run, a line for each value that the sample block or an override changed.
    hidden: dict[str, list[str]] = dataclasses.field(default_factory=dict, metadata={"yaml": False})

    def task(self, name: str) -> Any:
        """Settings of the task `name`; InputError if there is none."""
        return _named(self.tasks, name, "tasks")

    def run(self, name: str) -> Run:
        """The run `name` as it will be carried out, overrides applied; InputError if there is none."""
        return _named(self.runs, name, "runs")

    def tell_hidden(self, name: str) -> None:
        """Print what the sample block or a top-level override changed in the run `name`."""
        for line in self.hidden[name]:
            print(line)


def _named(known: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in known:
        raise InputError(f"{where}.{name}: not in params.yaml; {nearest(name, known)}")
    return known[name]
