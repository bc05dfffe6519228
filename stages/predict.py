"""What a trained run says of files: `python -m stages.predict RUN FILE…`. Not a stage: what it says is printed and not kept.

The network, its settings and the statistics are the checkpoint's, whatever has become of params.yaml and the data since.
params.yaml decides what it decides in `evaluate`, so that both say the same of the same item: the run's `evaluate` block
(which weights, views, the beam), device, precision.
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

from torch import nn
from torch.backends import cudnn

from stages.compute import device
from stages.compute.device import Compute
from stages.config.check import build
from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError, run_command
from stages.data import checkpoint
from stages.data.tables import row
from stages.tasks import load_params, part

TOGETHER = 64  # files that are in memory at a time
FORMULA = re.compile(r"[=+\-@\t\r]")


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if there were files of which nothing could be said. They are named, and the others told of."""
    options = _parser().parse_args(arguments)
    trained = load(options.run)
    files, failed = _expand(options.files, trained.room.SUFFIXES), list[str]()
    told = iter([_compare(trained, files)]) if options.same else _predict(trained, files, failed)
    is_table = options.out is not None or any(path.is_dir() for path in options.files)
    form = "json" if options.json else "csv" if is_table else "text"
    if trained.made_up:
        print(caution(trained), file=sys.stdout if form == "text" else sys.stderr)
    with nullcontext() if options.out is None else paths.replacing(options.out) as partial:
        with nullcontext(sys.stdout) if partial is None else partial.open("w", newline="", encoding="utf-8") as out:
            _write(out, told, form, trained.room)
        if options.out is not None and len(failed) == len(files):
            raise InputError(f"{options.out}: is not written, as none of the files could be read")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.predict", description="What a trained run says of files.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml")
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="files, or folders of them, which give a table")
    parser.add_argument("--same", action="store_true", help="of two faces: are they the same person's?")
    parser.add_argument("--json", action="store_true", help="a JSON object a file, each on a line of its own")
    parser.add_argument("--out", metavar="FILE", type=Path, help="write there, as CSV unless --json is given")
    return parser


class Trained(NamedTuple):
    """A run as it was trained, with its `evaluate` block of today. made_up: on a sample. room: the task's `prediction`."""

    name: str
    run: Run
    stats: dict[str, Any]
    weights: dict[str, Any]
    made_up: bool
    model: nn.Module
    compute: Compute
    room: ModuleType


def load(name: str) -> Trained:
    """Raises InputError: no such run, no checkpoint of it, or one that does not fit the code any more."""
    params = load_params()
    today = params.run(name)
    file = weights_file(name, today)
    saved = checkpoint.load_trained(file)
    block = saved["run"]
    kinds = typing.get_type_hints(part(today.kind, "settings").Run, include_extras=True)
    run = dataclasses.replace(
        today, **{key: build(kinds[key], block.get(key), f"{file}: {key}") for key in ("model", "loss")}
    )
    # `deterministic` would import what torch.compile needs, 1 s. It changes no forward pass but a GPU's convolutions.
    compute = device.choose(params.device, params.precision, deterministic=False)
    cudnn.deterministic = params.deterministic
    build_model = part(run.kind, "training").build_model
    model = compute.to_device(checkpoint.restore(lambda: build_model(run, saved["stats"]), file, saved))
    room = part(run.kind, "prediction")
    return Trained(name, run, saved["stats"], saved["weights"], saved["made_up"], model, compute, room)


def weights_file(name: str, run: Run) -> Path:
    """The checkpoint that answers for a run."""
    return paths.weights(name, run.evaluate.weights)


def caution(trained: Trained) -> str:
    """What there is to say first of a run that was trained on a sample."""
    return f"{trained.name} was trained on made-up data, so what it says of other files means nothing"


def read(trained: Trained, file: Path, called: str) -> Any:
    """An item that `answers` and `compare` take. called: what the person calls the file, with which an InputError begins."""
    try:
        return trained.room.read(file.read_bytes(), trained.stats)
    except InputError as error:
        raise InputError(f"{called}: {error}") from None
    except OSError as error:
        raise InputError(f"{called}: {error.strerror}") from None


def answers(trained: Trained, items: Sequence[Any]) -> list[Any]:
    """What the run says of each item: dataclasses of the room."""
    found: list[Any] = trained.room.predict(trained.model, items, trained.run, trained.stats, trained.compute)
    return found


def compare(trained: Trained, items: Sequence[Any]) -> Any:
    """What a run says of two items, a dataclass of the room. Raises InputError: no threshold for these very weights."""
    report = paths.evaluation(trained.name)
    again = f"`dvc repro evaluate@{trained.name}` makes it again"
    if not report.is_file():
        raise InputError(f"{report}: is not there, and holds the threshold; {again}")
    content = json.loads(report.read_text())
    if content["weights_sha256"] != checkpoint.weights_hash(trained.weights):
        raise InputError(f"{report}: its threshold is of other weights than the checkpoint's; {again}")
    predictions = paths.predictions(trained.name)
    return trained.room.compare(trained.model, items, trained.run, trained.stats, trained.compute, content, predictions)


def _expand(given: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Files as they are; of a folder, all below it with these suffixes, sorted."""
    files = []
    for path in given:
        found = [path]
        if path.is_dir():
            found = sorted(file for file in path.rglob("[!.]*") if file.suffix.lower() in suffixes and file.is_file())
            if not found:
                raise InputError(f"{path}: holds no {', '.join(suffixes)} files")
        files += found
    return files


class Told(NamedTuple):
    """An answer, and the names of the files that it is about: `file`, and `other` where two were compared."""

    names: dict[str, str]
    answer: Any


def _predict(trained: Trained, files: Sequence[Path], failed: list[str]) -> Iterator[Told]:
    """An answer a file, in order. Files of which there is none are named on stderr and added to `failed`."""
    for begin in range(0, len(files), TOGETHER):
        names, items = [], []
        for file in files[begin : begin + TOGETHER]:
            try:
                items.append(read(trained, file, str(file)))
                names.append(_name(file))
            except InputError as error:
                print(f"error: {error}", file=sys.stderr)
                failed.append(_name(file))
        if items:
            told = zip(names, answers(trained, items), strict=True)
            yield from (Told({"file": name}, answer) for name, answer in told)


def _compare(trained: Trained, files: Sequence[Path]) -> Told:
    """Raises InputError: not two files, a task that compares nothing, or what `read` and `compare` raise."""
    if not hasattr(trained.room, "compare"):
        raise InputError(f"--same: {trained.name} does not compare anything; a run of the task faces does")
    if len(files) != 2:
        raise InputError(f"--same: takes two files, and not {len(files)}")
    answer = compare(trained, [read(trained, file, str(file)) for file in files])
    return Told({"file": _name(files[0]), "other": _name(files[1])}, answer)


def _name(file: Path) -> str:
    """Bytes that are no text, which a file's name may hold, are escaped."""
    return str(file).encode(errors="backslashreplace").decode()


def _write(out: TextIO, told: Iterator[Told], form: str, room: ModuleType) -> None:
    """As lines of text, of JSON, or of CSV: there all that is a single value."""
    for number, (names, answer) in enumerate(told):
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
    """A file's name that a spreadsheet would compute is quoted; phonemes may well begin with @."""
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"'{value}" if key in ("file", "other") and FORMULA.match(value) else value


if __name__ == "__main__":
    run_command(main)
