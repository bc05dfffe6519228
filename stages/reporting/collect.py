"""A run's results for the report, read from the other stages' outputs. Missing outputs are None or empty.

The stage `report` depends only on metrics/. It also reads aligned utterances, audio and the data's statistics, which change
only together with files in metrics/.
"""

import csv
import dataclasses
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.config.check import nearest
from stages.config.schema import Ensemble, Params, Run
from stages.core import paths
from stages.core.errors import InputError
from stages.data import understood
from stages.data.statistics import Stats
from stages.reporting import ablations

Curve = list[tuple[int, float | None]]  # epoch, and the value if it is finite
AUDIO = {".flac": "audio/flac", ".wav": "audio/wav"}


class Score(NamedTuple):
    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Results:
    """A run or ensemble, its parameters and its results."""

    name: str
    run: Run | Ensemble
    source: str  # of the task's data; several paths are joined
    data: list[str]  # what `normalize` understood, line by line
    before: str  # results reached elsewhere, in words, or nothing
    hidden: list[str]  # a line for each value that the sample block or an override changed
    lr: dict[str, Any] | None
    evaluation: dict[str, Any] | None
    submission: dict[str, Any] | None
    score: Score | None  # the headline score
    num_parameters: int | None
    epochs: int | None  # trained so far
    curves: dict[str, dict[str, Curve]]  # by metric, then by split; the learning rate has the split ""
    pictures: list[Path]
    aligned: str | None  # the worst utterances, as text
    audio: list[Path]  # recordings of these, in the same order
    seeds: dict[str, Any] | None  # from `make seeds`
    folds: dict[str, Any] | None  # from `make folds`
    grids: dict[str, list[ablations.Row]]  # from `make ablate`


def collect(params: Params) -> list[Results]:
    """Collect all runs, then all ensembles. Raises InputError for an unknown run in reached_before."""
    for name in params.reached_before:
        if name not in params.runs:
            raise InputError(f"reached_before.{name}: there is no such run; {nearest(name, params.runs)}")
    return [_results(name, params) for name in (*params.runs, *params.ensembles)]


def _results(name: str, params: Params) -> Results:
    task = params.system(name).task
    data = paths.features(task)
    evaluation = _read_json(paths.evaluation(name))
    by_metric = curves(paths.history(name))
    aligned = paths.predictions(name) / "aligned.txt"
    pictures = sorted(paths.plots(name).glob("*.png"))
    if paths.lr_plot(name).is_file():
        pictures.insert(0, paths.lr_plot(name))
    return Results(
        name=name,
        run=params.system(name),
        source=source if isinstance(source := params.task(task).source, str) else ", ".join(source),
        data=understood.lines(Stats.read(data).understood) if (data / "stats.json").is_file() else [],
        before=params.reached_before.get(name, ""),
        hidden=[str(item) for item in params.hidden.get(name, ())],
        lr=_read_json(paths.lr(name)),
        evaluation=evaluation,
        submission=_read_json(paths.submission(name)),
        # An ensemble has no curves; its score has the name of its runs' score.
        score=_score(by_metric or curves(paths.history(params.runs_of(name)[0])), evaluation),
        num_parameters=evaluation.get("num_parameters") if evaluation else None,
        epochs=max(
            (point[0] for splits in by_metric.values() for curve in splits.values() for point in curve), default=None
        ),
        curves=by_metric,
        pictures=pictures,
        aligned=aligned.read_text(encoding="utf-8") if aligned.is_file() else None,
        audio=sorted(file for file in aligned.with_name("audio").glob("[0-9][0-9]-*") if file.suffix in AUDIO),
        seeds=_read_json(paths.seeds(name)),
        folds=_read_json(paths.folds(name)),
        grids=ablations.grids(ablations.read(paths.ablation(name))),
    )


def _read_json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text()) if path.is_file() else None


def curves(history: Path) -> dict[str, dict[str, Curve]]:
    """Read the tables in DVCLive's folder as metric -> split -> curve; loss first, the learning rate last."""
    folder, found = history / "plots" / "metrics", defaultdict[str, dict[str, Curve]](dict)
    for file in sorted(folder.rglob("*.tsv"), reverse=True):  # train before dev
        split = "" if file.parent == folder else file.parent.relative_to(folder).as_posix()
        with file.open(newline="") as lines:
            rows = [(int(row["step"]), float(row[file.stem])) for row in csv.DictReader(lines, delimiter="\t")]
        found[file.stem][split] = [(epoch, value if math.isfinite(value) else None) for epoch, value in rows]
    return {metric: found[metric] for metric in sorted(found, key=lambda metric: (metric == "lr", metric != "loss", metric))}


def _score(curves: dict[str, dict[str, Curve]], evaluation: dict[str, Any] | None) -> Score | None:
    """Return the score's name and value on dev."""
    name = score_name(curves)
    return Score(name, evaluation["dev"][name]) if name and evaluation else None


def score_name(curves: Mapping[str, Mapping[str, Curve]]) -> str | None:
    """Return the name of the dev metric beside the loss: the task's SCORE, which could not be read without torch."""
    return next((metric for metric, splits in curves.items() if "dev" in splits and metric != "loss"), None)
