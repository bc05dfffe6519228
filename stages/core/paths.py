"""Every path of the project, once. All are relative to the folder that a stage runs in, which DVC chooses."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

import stages
from stages.core.errors import InputError, Interrupted, naming

PARAMS = Path("params.yaml")


def raw(task: str) -> Path:
    """Archives as they came. DVC empties the folder before the stage: so not data/raw, where people put their own."""
    return Path("data/archives") / task


def features(task: str) -> Path:
    """Packed arrays and stats.json."""
    return Path("data/features") / task


def read_stats(task: str) -> dict[str, Any]:
    """The statistics that `normalize` wrote. Raises InputError if it has not."""
    file = features(task) / "stats.json"
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        raise InputError(f"{file}: is not there; `dvc repro normalize@{task}` makes it") from None
    return found


def predictions(run: str) -> Path:
    return Path("data/predictions") / run


def submissions(run: str) -> Path:
    return Path("data/submissions") / run


def export(run: str) -> Path:
    """model.onnx and its card, for others."""
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
    """How long the training of these weights took. Seconds differ from time to time, so they are neither DVC's nor git's."""
    return root() / ".timing" / f"{weights_sha256[:16]}.json"


def headlines(run: str) -> Path:
    """The few numbers of a run that `dvc metrics show`, `dvc metrics diff` and `dvc exp show` list."""
    return Path("metrics") / f"{run}.json"


def evaluation(run: str) -> Path:
    """Everything that was measured on dev, and of which weights."""
    return Path("metrics") / run / "evaluate.json"


def submission(run: str) -> Path:
    """What went to Kaggle, and its scores."""
    return Path("metrics") / run / "submission.json"


def leaderboard(run: str) -> Path:
    """Those scores alone."""
    return Path("metrics") / run / "leaderboard.json"


def plots(run: str) -> Path:
    return Path("metrics") / run / "plots"


def ablation(run: str) -> Path:
    """What `make ablate` wrote; no stage's output."""
    return Path("metrics") / run / "ablation.csv"


def sweep_plot(run: str) -> Path:
    """The picture that `make sweep` draws; no stage's output."""
    return Path("metrics") / run / "sweep.png"


def seeds(run: str) -> Path:
    """What `make seeds` wrote; no stage's output."""
    return Path("metrics") / run / "seeds.json"


def root() -> Path:
    """The original repository: in `dvc exp run --temp` and in the queue a stage runs in a copy of it."""
    return Path(os.environ.get("DVC_ROOT", "."))


def resume(run: str) -> Path:
    """States of trainings, one folder per fingerprint, and `finished`; outside DVC's outputs, which DVC deletes first.

    $RESUME_DIR, where it is set, is a folder that outlives this machine: a mounted drive, a cluster's shared disk. Raises
    InputError if it is not there, for what is written in place of a drive that is not mounted is lost with the machine.
    """
    chosen = os.environ.get("RESUME_DIR")
    folder = root() / (chosen or ".resume")
    if chosen and not folder.is_dir():
        raise InputError(f"RESUME_DIR: {folder}: no such folder; mount it, or make it")
    return folder / run


def downloads(task: str) -> Path:
    """Archives on their way from the network, part by part; outside DVC's outputs for the same reason."""
    return root() / ".downloads" / task


def receipts() -> Path:
    """What is known of each file that was ever submitted; it outlives every output, so that nothing is submitted twice."""
    return root() / ".receipts"


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """A temporary file or folder name beside `final` that takes its place if, and only if, the block succeeds.

    The name is this process's own, `.<final>.<pid>.partial`; those that killed processes left are removed.
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
    """`replacing`, for what a stage makes for DVC: Interrupted where DVC, which started the stage, was killed meanwhile.

    The next `dvc repro` starts the stage again, and hashes what that one wrote: an orphan must not write there, too.
    """
    with replacing(final) as partial:
        yield partial
        if stages.is_orphan():
            raise Interrupted("DVC, which started this process, is gone; `dvc repro` starts it again")


def _is_running(process: int) -> bool:
    """Whether a Python process has this number. Not a zombie, which in a container nobody may ever wait for."""
    try:
        os.kill(process, 0)
        if command := Path(f"/proc/{process}/cmdline").read_bytes():
            return b"python" in command
        return b") Z " not in Path(f"/proc/{process}/stat").read_bytes()
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's; or a system without /proc
        return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
