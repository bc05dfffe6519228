"""The keys of params.yaml as the fields of frozen dataclasses. Torch-free."""

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
    """The keys of every optimizer. Each class below has the name of its torch.optim class and its arguments as fields."""

    lr: PositiveFloat | Literal["find"]  # find: by a range test
    weight_decay: Annotated[float, NotNegative] = 0.0
    decay_norms_and_biases: bool = True  # false: weight decay only for matrices and convolutions


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
    """The learning-rate range test for `lr: find`: an exponential sweep from `start` to `end`."""

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
    """From `initial` times the peak rate up to the peak after `peak_epoch` epochs, then down to `final` times the peak."""

    name: Literal["one_cycle"]
    peak_epoch: PositiveFloat
    initial: Annotated[float, Share] = 0.04
    final: Annotated[float, Share] = 0.04


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up, then half a cosine down to zero after the last epoch."""

    name: Literal["cosine"]
    warmup_epochs: Annotated[float, NotNegative] = 0.0


@dataclass(frozen=True)
class CosineRestarts:
    """Cosine annealing with warm restarts: the first cycle has `t_0` epochs, each next one `t_mult` times as many."""

    name: Literal["cosine_restarts"]
    t_0: PositiveInt
    t_mult: PositiveInt = 1


@dataclass(frozen=True)
class Plateau:
    """Multiply the rate by `factor` when the dev score has not improved for more than `patience` epochs."""

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
    """The weights of another training, and the file's SHA-256, so that DVC notices another content."""

    file: str  # a path, absolute or relative to the project
    sha256: str


@dataclass(frozen=True)
class Training:
    """Training options, all off by default."""

    ema: Annotated[float, InsideUnit] | None = None  # decay of an exponential average of the weights, for weights: ema
    mean: PositiveInt | None = None  # number of last epochs whose weights are averaged, for weights: mean
    clip_norm: PositiveFloat | None = None  # maximal norm of all gradients together
    early_stopping: EarlyStopping | None = None
    final: bool = False  # train on train and dev together, for a submission; then there is no dev score
    accumulate: PositiveInt = 1  # parts of a batch, one after another, for batches that do not fit the memory
    start_from: StartFrom | None = None  # initial weights, of the same network; otherwise random
    seed: Annotated[int, NotNegative] | None = None  # overrides the top-level seed, for an ensemble of one network's seeds

    @property
    def splits(self) -> list[str]:
        """The splits that are trained on."""
        return ["train", "dev"] if self.final else ["train"]

    def __post_init__(self) -> None:
        if self.mean is not None and self.early_stopping is not None:
            raise ValueError("mean: needs the last epochs, which early_stopping does not know beforehand; leave one out")
        if self.final and self.early_stopping is not None:
            raise ValueError("early_stopping: needs a dev score, and there is none with final; leave it out")


# best: of the epoch with the best dev score; last: after the last epoch; ema, mean: the averages of train.ema and train.mean
Weights = Literal["best", "last", "ema", "mean"]


@dataclass(frozen=True)
class Frames:
    """The size of a batch in frames, padding included, instead of items; for sequences only."""

    frames: PositiveInt


@dataclass(frozen=True)
class Fold:
    """Cross-validation: part `number` of `of` parts of the training data is the dev split; the first is 0."""

    of: Annotated[int, Rule("must be at least 2", lambda value: value >= 2)]
    number: Annotated[int, NotNegative]

    def __post_init__(self) -> None:
        if self.number >= self.of:
            raise ValueError(f"number: must be below of ({self.of}), because the first is 0, but is {self.number}")

    def __str__(self) -> str:
        return f"fold {self.number} of {self.of}"


@dataclass(frozen=True)
class TaskSettings:
    """The keys of every task's block; the settings.py of its kind adds more."""

    kind: str  # its folder in stages/tasks/
    inputs: Literal["images", "sequences"]  # the folder of stages/ that the kind builds on
    source: str | list[str]  # `sample`, `kaggle`, `public` if the task has one, or paths of archives and folders
    on_bad: Literal["error", "skip"]
    max_unpacked_gb: PositiveFloat  # limit for the unpacked archives
    public: list[str]  # the public archives that the source `public` downloads
    max_parameters: PositiveInt | None = field(default=None, kw_only=True)  # of a run, and of an ensemble's members together
    competitions: str | dict[str, str]  # Kaggle's name of the competition, or one for each submission file

    @property
    def num_threads(self) -> int | None:
        """PyTorch's threads on the CPU. None: its default, usually all cores.

        The sample's networks are so small that a second thread costs more than it saves.
        """
        return 1 if self.source == "sample" else None


Depths = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]  # blocks in each of a network's four stages


@dataclass(frozen=True)
class Network:
    """A network. name: its file in images/models/ or sequences/models/; the other fields are the constructor's arguments."""

    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of the constructor."""
        return {key: value for key, value in vars(self).items() if key != "name"}


@dataclass(frozen=True)
class Run:
    """A network with its training and evaluation. The settings.py of each kind gives the fields of type Any their types."""

    task: str
    kind: str  # as in its task, also `inputs`, for the dependencies in dvc.yaml
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
    sample: dict[str, Any]  # overrides the other keys while the task's source is `sample`

    def __post_init__(self) -> None:
        if isinstance(self.schedule, OneCycle) and self.schedule.peak_epoch >= self.epochs:
            peak = f"schedule.peak_epoch: must be below the run's {self.epochs} epochs"
            raise ValueError(f"{peak}, but is {self.schedule.peak_epoch:g}")
        if isinstance(self.schedule, Cosine) and self.schedule.warmup_epochs >= self.epochs:
            warmup = f"schedule.warmup_epochs: must be below the run's {self.epochs} epochs"
            raise ValueError(f"{warmup}, but is {self.schedule.warmup_epochs:g}")
        weights = self.evaluate.weights
        if self.train.final and weights == "best":
            raise ValueError(
                "evaluate.weights: best needs a dev score, and there is none with train.final; take last, ema or mean"
            )
        if self.train.final and isinstance(self.schedule, Plateau):
            raise ValueError("schedule: plateau needs a dev score, and there is none with train.final; take another")
        if weights in ("ema", "mean") and getattr(self.train, weights) is None:
            raise ValueError(f"evaluate.weights: {weights} needs train.{weights}; set it")

    def with_epochs(self, epochs: int) -> Self:
        """Return the run with another number of epochs. A one-cycle's peak and a cosine's warm-up change in proportion."""
        schedule = self.schedule
        if isinstance(schedule, OneCycle):
            schedule = dataclasses.replace(schedule, peak_epoch=schedule.peak_epoch * epochs / self.epochs)
        if isinstance(schedule, Cosine):
            schedule = dataclasses.replace(schedule, warmup_epochs=schedule.warmup_epochs * epochs / self.epochs)
        return dataclasses.replace(self, epochs=epochs, schedule=schedule)


@dataclass(frozen=True)
class Ensemble:
    """The mean prediction of two members, each a run or an ensemble of the same task."""

    task: str
    kind: str
    inputs: Literal["images", "sequences"]
    members: tuple[str, str]
    weights: Literal["equal", "fit"]  # equal: the same for all runs, also those of inner ensembles; fit: fitted on dev
    beam: PositiveInt = 10  # width of the beam search in the mean emissions, on dev and test; for sequences

    def __post_init__(self) -> None:
        if len(set(self.members)) < 2:
            raise ValueError(f"members: must be two, but is {self.members[0]} twice")


@dataclass(frozen=True)
class Submit:
    """Whether to upload submission files to Kaggle, and how many minutes to wait for their scores."""

    enabled: bool
    wait_minutes: PositiveFloat


@dataclass(frozen=True)
class Params:
    lr: PositiveFloat | None
    epochs: Epochs | None
    batch_size: PositiveInt | None
    seed: Annotated[int, NotNegative]  # of training
    data_seed: Annotated[int, NotNegative]  # of the sample, and of dev splits if the data have none
    launcher: str
    device: str
    precision: Literal["auto", "fp32", "bf16", "fp16"]
    deterministic: bool
    compile: bool  # the network for training, not for evaluation
    range_test: RangeTest
    checkpoint_minutes: PositiveFloat  # between saved states in training, so a killed run loses at most this
    submit: Submit
    tasks: dict[str, Any]  # each an instance of its kind's Settings
    runs: dict[str, Run]
    ensembles: dict[str, Ensemble] = dataclasses.field(default_factory=dict)
    # Text per run. Not a field of Run, because checkpoints contain those and no result depends on this text.
    reached_before: dict[str, str] = dataclasses.field(default_factory=dict)
    # Not a key of params.yaml: for each run the values that its sample block or a top-level key changed.
    hidden: dict[str, list["Hidden"]] = dataclasses.field(default_factory=dict, metadata={"yaml": False})

    def task(self, name: str) -> Any:
        """Return the settings of a task. Raises InputError if there is none."""
        return _named(self.tasks, name, "tasks")

    def run(self, name: str) -> Run:
        """Return a run after all overrides. Raises InputError if there is none."""
        return _named(self.runs, name, "runs")

    def seed_of(self, name: str) -> int:
        """Return the seed of a run's training."""
        own = self.run(name).train.seed
        return self.seed if own is None else own

    def ensemble(self, name: str) -> Ensemble:
        """Return an ensemble. Raises InputError if there is none."""
        return _named(self.ensembles, name, "ensembles")

    def check_size(self, task: str, where: str, num_parameters: int) -> None:
        """Raise InputError if a network, or an ensemble's members together, have more parameters than the task allows."""
        limit = self.task(task).max_parameters
        if limit is not None and num_parameters > limit:
            raise InputError(f"{where}: has {num_parameters:,} parameters, above tasks.{task}.max_parameters, {limit:,}")

    def system(self, name: str) -> Run | Ensemble:
        """Return the run or ensemble of this name. Raises InputError if there is none."""
        return self.ensembles[name] if name in self.ensembles else self.run(name)

    def runs_of(self, name: str) -> list[str]:
        """Return the run itself, or the runs of an ensemble, with repetitions."""
        if name not in self.ensembles:
            return [name]
        return [run for member in self.ensembles[name].members for run in self.runs_of(member)]

    def tell_hidden(self, name: str) -> None:
        """Print a table of the values of a run that its sample block or a top-level key changed."""
        if not self.hidden[name]:
            return
        reasons = dict.fromkeys(item.by for item in self.hidden[name])
        print(f"runs.{name}, changed by {' and '.join(reasons)}:")
        print(columns([(f"  {item.key}", readable(item.own), "->", readable(item.used)) for item in self.hidden[name]]))


SAMPLE_BLOCK = "its sample block"


@dataclass(frozen=True)
class Hidden:
    """A value of a run that another one overrides."""

    key: str  # within the run
    own: Any
    used: Any
    by: str  # what overrides it, in words

    def __str__(self) -> str:
        return f"{self.key}: {readable(self.own)} -> {readable(self.used)} ({self.by})"


def readable(value: Any) -> str:
    """Return a value of params.yaml for a table: floats with four digits, blocks by name or keys."""
    if isinstance(value, Mapping):
        return str(value.get("name") or ", ".join(value))
    if value is None:
        return "nothing"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(known: Mapping[str, Any], name: str, where: str) -> Any:
    if name not in known:
        raise InputError(f"{where}.{name}: not in params.yaml; {nearest(name, known)}")
    return known[name]
