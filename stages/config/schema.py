"""The vocabulary of params.yaml: frozen dataclasses whose fields are its keys, one to one.

What each block means stands here once; where its numbers come from is said in params.yaml itself. Torch-free.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

from stages.config.check import BelowOne, InsideUnit, NotNegative, Positive, PositiveFloat, PositiveInt, Rule, Share, nearest
from stages.core.columns import columns
from stages.core.errors import InputError

Epochs = Annotated[int, Positive, Rule("must be at most a million", lambda value: value <= 1_000_000)]


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """What every optimizer has. A class below is one of torch.optim, by its name and with its arguments as fields."""

    lr: PositiveFloat | Literal["find"]  # find: a range test decides
    weight_decay: Annotated[float, NotNegative] = 0.0
    decay_norms_and_biases: bool = True  # false: weight decay is for matrices and convolutions only


@dataclass(frozen=True)
class SGD(OptimizerSettings):
    name: Literal["sgd"]
    momentum: Annotated[float, BelowOne] = 0.9
    nesterov: bool = False

    def __post_init__(self) -> None:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: needs a momentum above 0")


@dataclass(frozen=True)
class Adam(OptimizerSettings):
    """Weight decay is an L2 penalty, added to the gradient."""

    name: Literal["adam"]
    betas: tuple[Annotated[float, BelowOne], Annotated[float, BelowOne]] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8


@dataclass(frozen=True)
class AdamW(OptimizerSettings):
    """Weight decay is decoupled from the gradient (Loshchilov and Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"]
    betas: tuple[Annotated[float, BelowOne], Annotated[float, BelowOne]] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8


Optimizer = SGD | Adam | AdamW


@dataclass(frozen=True)
class RangeTest:
    """The learning-rate range test of the runs with `lr: find`: an exponential sweep from `start` to `end`."""

    steps: PositiveInt
    start: PositiveFloat
    end: PositiveFloat

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise ValueError(f"start: must be below end ({self.end:g}), but is {self.start:g}")


@dataclass(frozen=True)
class Constant:
    name: Literal["constant"]


@dataclass(frozen=True)
class OneCycle:
    """Up from `initial` times the peak rate, to the peak after `peak_epoch` epochs, and down to `final` times the peak."""

    name: Literal["one_cycle"]
    peak_epoch: PositiveFloat
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
class StartFrom:
    """Weights that another training left, and the SHA-256 of the file, by which DVC knows its content."""

    file: str  # a path; a relative one starts at the project
    sha256: str


@dataclass(frozen=True)
class Training:
    """What a training can do besides; nothing by default."""

    ema: Annotated[float, InsideUnit] | None = None  # decay of an exponential average of the weights, for weights: ema
    mean: PositiveInt | None = None  # of the weights after so many last epochs, at most all, for weights: mean
    clip_norm: PositiveFloat | None = None  # the largest norm of all gradients together
    early_stopping: EarlyStopping | None = None
    final: bool = False  # on train and dev together, for a submission: no dev score, as dev was learnt from
    accumulate: PositiveInt = 1  # parts in which a batch goes through the network, where the whole does not fit the memory
    start_from: StartFrom | None = None  # the same network's weights to begin with; without it they are drawn at random
    seed: Annotated[int, NotNegative] | None = None  # in place of the top-level one: the same network twice, for an ensemble

    @property
    def splits(self) -> list[str]:
        """What is trained on."""
        return ["train", "dev"] if self.final else ["train"]

    def __post_init__(self) -> None:
        if self.mean is not None and self.early_stopping is not None:
            raise ValueError("mean: is of the last epochs, which early_stopping does not know beforehand; leave one out")
        if self.final and self.early_stopping is not None:
            raise ValueError("early_stopping: waits for a dev score, and there is none with final; leave it out")


# Those of the epoch with the best dev score; after the last epoch the network's own, or what train.ema or train.mean keeps.
Weights = Literal["best", "last", "ema", "mean"]


Loading = Literal["auto", "device", "workers"]  # of images


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
class Fold:
    """Cross-validation: the training data have `of` parts, and part `number`, from 0 on, is the dev split."""

    of: Annotated[int, Rule("must be at least 2", lambda value: value >= 2)]
    number: Annotated[int, NotNegative]

    def __post_init__(self) -> None:
        if self.number >= self.of:
            raise ValueError(f"number: must be below of ({self.of}), as the first is 0, but is {self.number}")

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}"


@dataclass(frozen=True)
class TaskSettings:
    """What every task's block has; the settings.py of its kind adds others."""

    kind: str  # its folder in stages/tasks/
    inputs: Literal["images", "sequences"]  # the room of stages/ that this folder builds on
    source: str | list[str]  # `sample`, `kaggle`, `public` where there is one, or paths of archives and folders
    on_bad: Literal["error", "skip"]
    max_unpacked_gb: PositiveFloat  # archives that would unpack to more are refused
    public: list[str]  # which of the task's public archives the source `public` takes
    max_parameters: PositiveInt | None = field(default=None, kw_only=True)  # of a run, and of an ensemble's members together
    competitions: str | dict[str, str]  # Kaggle's name of the competition, or one for each of the task's submission files


Depths = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]  # blocks of each of a network's four stages


@dataclass(frozen=True)
class Network:
    """A network: `name` is its file in images/models/ or sequences/models/, the other fields its constructor's arguments."""

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the constructor."""
        return {key: value for key, value in vars(self).items() if key != "name"}


@dataclass(frozen=True)
class Run:
    """One system: a network and all that its training and evaluation need. Each kind's settings.py gives `Any` a type."""

    task: str
    kind: str  # its task's, as are its inputs, for the dependencies in dvc.yaml
    inputs: Literal["images", "sequences"]
    model: Any
    optimizer: Optimizer
    schedule: Schedule
    epochs: Epochs
    batch_size: Any
    loading: Any
    augment: Any
    loss: Any
    train: Training
    evaluate: Any
    sample: dict[str, Any]  # laid over the run while its task's source is `sample`

    def __post_init__(self) -> None:
        if isinstance(self.schedule, OneCycle) and self.schedule.peak_epoch >= self.epochs:
            peak = f"schedule.peak_epoch: must be below the run's {self.epochs} epochs"
            raise ValueError(f"{peak}, but is {self.schedule.peak_epoch:g}")
        weights = self.evaluate.weights
        if self.train.final and weights == "best":
            raise ValueError(
                "evaluate.weights: best is by dev score, and there is none with train.final; take last, ema or mean"
            )
        if self.train.final and isinstance(self.schedule, Plateau):
            raise ValueError("schedule: plateau waits for a dev score, and there is none with train.final; take another")
        if weights in ("ema", "mean") and getattr(self.train, weights) is None:
            raise ValueError(f"evaluate.weights: {weights} needs train.{weights}, without which training keeps none")

    def with_epochs(self, epochs: int) -> Self:
        """The run with another number of epochs; the rate of a one-cycle schedule peaks in proportion."""
        schedule = self.schedule
        if isinstance(schedule, OneCycle):
            schedule = dataclasses.replace(schedule, peak_epoch=schedule.peak_epoch * epochs / self.epochs)
        return dataclasses.replace(self, epochs=epochs, schedule=schedule)


@dataclass(frozen=True)
class Ensemble:
    """The mean answer of two members, each a run or an ensemble of the same task."""

    task: str
    kind: str
    inputs: Literal["images", "sequences"]
    members: tuple[str, str]
    weights: Literal["equal", "fit"]  # equal: of the runs, however deep they lie; fit: of the two members, those best on dev
    beam: PositiveInt = 10  # of the search in the mean emissions, on dev and test; for sequences

    def __post_init__(self) -> None:
        if len(set(self.members)) < 2:
            raise ValueError(f"members: must be two, but is {self.members[0]} twice")


@dataclass(frozen=True)
class Submit:
    """Whether submission files go to Kaggle, and how many minutes to wait for their scores."""

    enabled: bool
    wait_minutes: PositiveFloat


@dataclass(frozen=True)
class Params:
    lr: PositiveFloat | None
    epochs: Epochs | None
    batch_size: PositiveInt | None
    seed: Annotated[int, NotNegative]  # of training
    data_seed: Annotated[int, NotNegative]  # of the drawn sample, and of dev splits where the data have none
    launcher: str
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    deterministic: bool
    compile: bool  # the networks that train, by PyTorch's compiler; not where they are evaluated
    range_test: RangeTest
    checkpoint_minutes: PositiveFloat  # between states saved while training; what a killed run loses at most
    submit: Submit
    tasks: dict[str, Any]  # each of its kind's class Settings
    runs: dict[str, Run]
    ensembles: dict[str, Ensemble] = dataclasses.field(default_factory=dict)
    # Per run, in words. Not a part of the run, of which a checkpoint keeps all: no number depends on it.
    reached_before: dict[str, str] = dataclasses.field(default_factory=dict)
    # Not a key of params.yaml: per run, a line for each value that the sample block or an override changed.
    hidden: dict[str, list["Hidden"]] = dataclasses.field(default_factory=dict, metadata={"yaml": False})

    def task(self, name: str) -> Any:
        """Settings of the task `name`; InputError if there is none."""
        return _named(self.tasks, name, "tasks")

    def run(self, name: str) -> Run:
        """The run `name` as it will be carried out, overrides applied; InputError if there is none."""
        return _named(self.runs, name, "runs")

    def seed_of(self, name: str) -> int:
        """The seed of the run's training."""
        own = self.run(name).train.seed
        return self.seed if own is None else own

    def ensemble(self, name: str) -> Ensemble:
        """The ensemble `name`; InputError if there is none."""
        return _named(self.ensembles, name, "ensembles")

    def check_size(self, task: str, where: str, num_parameters: int) -> None:
        """Raise InputError if a network, or an ensemble's members together, have more parameters than the task allows."""
        limit = self.task(task).max_parameters
        if limit is not None and num_parameters > limit:
            raise InputError(f"{where}: has {num_parameters:,} parameters, above tasks.{task}.max_parameters, {limit:,}")

    def system(self, name: str) -> Run | Ensemble:
        """The run or the ensemble of this name; InputError if there is neither."""
        return self.ensembles[name] if name in self.ensembles else self.run(name)

    def runs_of(self, name: str) -> list[str]:
        """The run itself, or the runs of an ensemble; one that is in it twice is there twice."""
        if name not in self.ensembles:
            return [name]
        return [run for member in self.ensembles[name].members for run in self.runs_of(member)]

    def tell_hidden(self, name: str) -> None:
        """Print what the sample block or a top-level override changed in the run `name`, as a table."""
        if not self.hidden[name]:
            return
        reasons = dict.fromkeys(item.by for item in self.hidden[name])
        print(f"runs.{name}, changed by {' and '.join(reasons)}:")
        print(columns([(f"  {item.key}", readable(item.own), "->", readable(item.used)) for item in self.hidden[name]]))


SAMPLE_BLOCK = "its sample block"


@dataclass(frozen=True)
class Hidden:
    """A value of a run that is not used: its key from the run on, what is used in its place, and because of what."""

    key: str
    own: Any
    used: Any
    by: str

    def __str__(self) -> str:
        return f"{self.key}: {readable(self.own)} -> {readable(self.used)} ({self.by})"


def readable(value: Any) -> str:
    """A value of params.yaml for a table: numbers to four digits, a block by its name or keys."""
    if isinstance(value, Mapping):
        return str(value.get("name") or ", ".join(value))
    if value is None:
        return "nothing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(known: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in known:
        raise InputError(f"{where}.{name}: not in params.yaml; {nearest(name, known)}")
    return known[name]
