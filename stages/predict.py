"""`python -m stages.predict RUN FILE…`: print a trained run's predictions for files. Not a stage: nothing is kept.

The network, its settings and the statistics come from the checkpoint, even if params.yaml or the data have changed since.
The run's `evaluate` block (weights, views, beam), the device and the precision come from params.yaml, as in `evaluate`, so
that both stages give the same answer for the same item.
"""

import argparse
import dataclasses
import json
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TextIO

from torch import Tensor, nn
from torch.backends import cudnn

from stages.compute import device
from stages.compute.device import Compute
from stages.config.check import build
from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError, run_command
from stages.data import checkpoint
from stages.data.statistics import Stats
from stages.data.tables import row
from stages.tasks import load_params, task_module

CHUNK = 64  # files in memory at a time
FORMULA = re.compile(r"[=+\-@\t\r]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 if any file could not be read. Such files are named on stderr, the others are answered."""
    options = _parser().parse_args(arguments)
    trained = load(options.run)
    files, failed = _expand(options.files, trained.room.SUFFIXES), list[str]()
    results = iter([_compare(trained, files)]) if options.same else _predict(trained, files, failed)
    is_table = options.out is not None or any(path.is_dir() for path in options.files)
    form = "json" if options.json else "csv" if is_table else "text"
    if trained.made_up:
        print(caution(trained), file=sys.stdout if form == "text" else sys.stderr)
    with nullcontext() if options.out is None else paths.replacing(options.out) as partial:
        with nullcontext(sys.stdout) if partial is None else partial.open("w", newline="", encoding="utf-8") as out:
            _write(out, results, form, trained.room)
        if options.out is not None and len(failed) == len(files):
            raise InputError(f"{options.out}: not written, as none of the files could be read")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.predict", description="A trained run's predictions for files.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="files or folders; a folder gives a table")
    parser.add_argument("--same", action="store_true", help="whether two faces are the same person")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line, one for each file")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write to this file, as CSV unless --json is given")
    return parser


class Trained(NamedTuple):
    """A run as trained, with its current `evaluate` block. made_up: trained on a sample. room: the task's `prediction`."""

    name: str
    run: Run
    stats: Stats
    weights: dict[str, Tensor]
    made_up: bool
    model: nn.Module
    compute: Compute
    room: ModuleType


def load(name: str) -> Trained:
    """Load a trained run. Raises InputError for an unknown run, or a checkpoint that is absent or does not fit the code."""
    params = load_params()
    current = params.run(name)
    file = weights_file(name, current)
    saved = checkpoint.load_trained(file)
    types = typing.get_type_hints(task_module(current.kind, "settings").Run, include_extras=True)
    run = dataclasses.replace(
        current, **{key: build(types[key], saved.run.get(key), f"{file}: {key}") for key in ("model", "loss")}
    )
    # `deterministic=True` would import what torch.compile needs, 1 s. In a forward pass it affects only cuDNN.
    num_threads = params.task(current.task).num_threads
    compute = device.choose(params.device, params.precision, deterministic=False, num_threads=num_threads)
    cudnn.deterministic = params.deterministic
    build_model, kind = task_module(run.kind, "training").build_model, task_module(run.kind, "statistics").Stats
    model, stats = checkpoint.restore(lambda stats: build_model(run, stats), kind, file, saved)
    room = task_module(run.kind, "prediction")
    return Trained(name, run, stats, saved.weights, saved.made_up, compute.to_device(model), compute, room)


def weights_file(name: str, run: Run) -> Path:
    """Return the path of the checkpoint that the run's `evaluate` block chooses."""
    return paths.weights(name, run.evaluate.weights)


def caution(trained: Trained) -> str:
    """Return the warning about a run that was trained on sample data."""
    return f"{trained.name} was trained on made-up data, so its answers about other files mean nothing"


def read(trained: Trained, file: Path, name: str) -> Any:
    """Read a file as an input of `answers` and `compare`. name: the file's name in an InputError."""
    try:
        return trained.room.read(file.read_bytes(), trained.stats)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from None


def answers(trained: Trained, inputs: Sequence[Any]) -> list[Any]:
    """Return the run's answer for each input, a dataclass of the task's `prediction`."""
    found: list[Any] = trained.room.predict(trained.model, inputs, trained.run, trained.stats, trained.compute)
    return found


def compare(trained: Trained, inputs: Sequence[Any]) -> Any:
    """Return the run's answer for a pair of inputs. Raises InputError if there is no threshold for these weights."""
    report = paths.evaluation(trained.name)
    again = f"`dvc repro evaluate@{trained.name}` makes it again"
    if not report.is_file():
        raise InputError(f"{report}: is missing, and with it the threshold; {again}")
    content = json.loads(report.read_text())
    if content["weights_sha256"] != checkpoint.weights_hash(trained.weights):
        raise InputError(f"{report}: its threshold was measured with other weights than the checkpoint's; {again}")
    predictions = paths.predictions(trained.name)
    return trained.room.compare(trained.model, inputs, trained.run, trained.stats, trained.compute, content, predictions)


def _expand(arguments: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Replace each folder by the files below it that have one of the suffixes, sorted."""
    files = []
    for path in arguments:
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.rglob("[!.]*") if file.suffix.lower() in suffixes and file.is_file())
            if not found:
                raise InputError(f"{path}: holds no {', '.join(suffixes)} files")
        files += found
    return files


class Result(NamedTuple):
    """An answer and the names of its files: `file`, and `other` if two were compared."""

    names: dict[str, str]
    answer: Any


def _predict(trained: Trained, files: Sequence[Path], failed: list[str]) -> Iterator[Result]:
    """Yield a result per file, in order. Unreadable files are named on stderr and added to `failed`."""
    for begin in range(0, len(files), CHUNK):
        names, inputs = [], []
        for file in files[begin : begin + CHUNK]:
            try:
                inputs.append(read(trained, file, str(file)))
                names.append(_name(file))
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                failed.append(_name(file))
        if inputs:
            for name, answer in zip(names, answers(trained, inputs), strict=True):
                yield Result({"file": name}, answer)


def _compare(trained: Trained, files: Sequence[Path]) -> Result:
    """Compare two files. Raises InputError if there are not two, or the task cannot compare."""
    if not hasattr(trained.room, "compare"):
        raise InputError(f"--same: {trained.name} does not compare anything; a run of the task faces does")
    if len(files) != 2:
        raise InputError(f"--same: takes two files, not {len(files)}")
    answer = compare(trained, [read(trained, file, str(file)) for file in files])
    return Result({"file": _name(files[0]), "other": _name(files[1])}, answer)


def _name(file: Path) -> str:
    """Return the file's name, with bytes that are not UTF-8 escaped."""
    return str(file).encode(errors="backslashreplace").decode()


def _write(out: TextIO, results: Iterator[Result], form: str, room: ModuleType) -> None:
    """Write the results as lines of text or JSON, or as CSV with all fields that are single values."""
    for number, (names, answer) in enumerate(results):
        fields = names | dataclasses.asdict(answer)
        if form == "json":
            print(json.dumps(fields), file=out)
        elif form == "text":
            other = f"same person as {names['other']}: " if "other" in names else ""
            print(f"{names['file']}: {other}{room.describe(answer)}", file=out)
        else:
            single = {key: value for key, value in fields.items() if not isinstance(value, list | dict)}
            if number == 0:
                out.write(row(single))
            out.write(row(_cell(key, value) for key, value in single.items()))


def _cell(key: str, value: Any) -> Any:
    """Format a CSV cell. A file name that a spreadsheet would run as a formula is quoted; phonemes may begin with @."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"'{value}" if key in ("file", "other") and FORMULA.match(value) else value


if __name__ == "__main__":
    run_command(main)
