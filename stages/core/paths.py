"""All paths of the project, relative to the folder in which DVC runs a stage."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import stages
from stages.core.errors import InputError, Interrupted, naming

PARAMS = Path("params.yaml")


def raw(task: str) -> Path:
    """Raw archives. Not in data/raw, where people keep their own files: DVC empties this folder before the stage."""
    return Path("data/archives") / task


def features(task: str) -> Path:
    """Packed arrays and stats.json."""
    return Path("data/features") / task


def predictions(run: str) -> Path:
    return Path("data/predictions") / run


def submissions(run: str) -> Path:
    return Path("data/submissions") / run


def export(run: str) -> Path:
    """model.onnx and its model card."""
    return Path("exports") / run


def model(run: str) -> Path:
    """best.safetensors, last.safetensors and summary.txt."""
    return Path("models") / run


def weights(run: str, which: str) -> Path:
    """which: best, last, ema or mean."""
    return model(run) / f"{which}.safetensors"


def lr(run: str) -> Path:
    return Path("metrics") / run / "lr.json"


def lr_plot(run: str) -> Path:
    return Path("metrics") / run / "lr.png"


def history(run: str) -> Path:
    """DVCLive's folder: a table per metric."""
    return Path("metrics") / run / "train"


def timing(weights_sha256: str) -> Path:
    """Training time of these weights. Seconds vary between repetitions, so neither DVC nor git tracks them."""
    return root() / ".timing" / f"{weights_sha256[:16]}.json"


def headlines(run: str) -> Path:
    """The few metrics of a run that `dvc metrics show`, `dvc metrics diff` and `dvc exp show` list."""
    return Path("metrics") / f"{run}.json"


def evaluation(run: str) -> Path:
    """All dev metrics, and the weights' hash."""
    return Path("metrics") / run / "evaluate.json"


def submission(run: str) -> Path:
    """What was submitted to Kaggle, and its scores."""
    return Path("metrics") / run / "submission.json"


def leaderboard(run: str) -> Path:
    """Only those scores."""
    return Path("metrics") / run / "leaderboard.json"


def plots(run: str) -> Path:
    return Path("metrics") / run / "plots"


def ablation(run: str) -> Path:
    """The table that `make ablate` writes; not a stage output."""
    return Path("metrics") / run / "ablation.csv"


def sweep_plot(run: str) -> Path:
    """The plot that `make sweep` draws; not a stage output."""
    return Path("metrics") / run / "sweep.png"


def seeds(run: str) -> Path:
    """The table that `make seeds` writes; not a stage output."""
    return Path("metrics") / run / "seeds.json"


def folds(run: str) -> Path:
    """The scores that `make folds` writes; not a stage output."""
    return Path("metrics") / run / "folds.json"


def folds_together(run: str) -> Path:
    """The predictions and the submission that `make folds` writes; not a stage output."""
    return Path("data/folds") / run


def root() -> Path:
    """The original repository. `dvc exp run --temp` and the queue run stages in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", "."))


def resume(run: str) -> Path:
    """Saved states of trainings, one folder per fingerprint and `finished`; not in DVC's outputs, which DVC deletes first.

    $RESUME_DIR can name a folder that outlives the machine, such as a mounted drive or a shared disk. Raises InputError if
    it does not exist: files written where a drive is not mounted would be lost with the machine.
    """
    chosen = os.environ.get("RESUME_DIR")
    folder = root() / (chosen or ".resume")
    if chosen and not folder.is_dir():
        raise InputError(f"RESUME_DIR: {folder}: no such folder; mount it, or make it")
    return folder / run


def downloads(task: str) -> Path:
    """Partial downloads; outside DVC's outputs for the same reason."""
    return root() / ".downloads" / task


def receipts() -> Path:
    """A record of each submitted file. It outlives all outputs, so that nothing is submitted twice."""
    return root() / ".receipts"


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """Yield a temporary name beside `final`, for a file or folder that replaces `final` only if the block succeeds.

    The name is `.<final>.<pid>.partial`; leftovers of killed processes are removed.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    for left in final.parent.glob(f".{escape(final.name)}.*.partial"):
        number = left.name.split(".")[-2]
        if left == partial or (number.isdecimal() and not _is_running(int(number))):
            _remove(left)
    try:
        with naming(final):
            yield partial
        if final.is_dir():
            _remove(final)
        partial.replace(final)
    finally:
        _remove(partial)


@contextmanager
def output(final: Path) -> Iterator[Path]:
    """`replacing` for a DVC output. Raises Interrupted if the DVC that started this stage has been killed.

    The next `dvc repro` runs the stage again and hashes its outputs; an orphan must not write to them as well.
    """
    with replacing(final) as partial:
        yield partial
        if stages.is_orphan():
            raise Interrupted("DVC, which started this process, is gone; `dvc repro` starts it again")


def _is_running(process: int) -> bool:
    """Whether a Python process has this id. Zombies do not count: in a container they may never be reaped."""
    try:
        os.kill(process, 0)
        if command := Path(f"/proc/{process}/cmdline").read_bytes():
            return b"python" in command
        return b") Z " not in Path(f"/proc/{process}/stat").read_bytes()
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's process, or a system without /proc
        return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
