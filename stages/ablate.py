"""`make ablate RUN=pblstm`: a run's grids of ablations.yaml, each value an experiment in DVC's queue, as one table.

Not a stage: experiments run stages. Every value is a `dvc exp run --queue -S … evaluate@RUN`; what these committed becomes
metrics/RUN/ablation.csv, which the report shows. Each of the queue's workers has a copy of the project to itself, and what
DVC has made before of the same data, code and parameters is not made again.
"""

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence

from stages.ablating import grids, queue, spread
from stages.ablating.grids import Value
from stages.ablating.spread import Seeds
from stages.config.check import nearest
from stages.core import paths
from stages.core.columns import columns
from stages.core.errors import InputError
from stages.data.tables import write_table
from stages.reporting import ablations
from stages.reporting.ablations import Row
from stages.tasks import load_params, part


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 if there are values of which no number came."""
    options, params = _parser().parse_args(arguments), load_params()
    if not options.run:
        raise InputError(f"name a run, as in `make ablate RUN={next(iter(params.runs))}`; {nearest('', params.runs)}")
    run = params.run(options.run)
    values = grids.choose(options.run, options.grid)
    evaluates = any(value.key.startswith("evaluate") for value in values)
    queue.prepare(f"train@{options.run}" if evaluates and not options.seeds else f"normalize@{run.task}")
    score, source = part(run.kind, "training").SCORE, params.task(run.task).source
    trials = [value.with_seed(seed) for value in values for seed in options.seeds] or values
    baseline = [grids.present(options.run, seed) for seed in options.seeds]
    refs = queue.run([*baseline, *trials], options.jobs)
    rows = [row(value, refs.get(value.name), score.name, source) for value in trials]
    present = [row(value, refs.get(value.name), score.name, source) for value in baseline]
    if options.seeds:  # each grid has the run as it is, too
        grids_of = dict.fromkeys((item.grid, item.key) for item in rows)
        rows = [
            item
            for grid, key in grids_of
            for item in (
                *(dataclasses.replace(item, grid=grid, key=key, value=spread.PRESENT) for item in present),
                *(item for item in rows if item.grid == grid),
            )
        ]
    table = paths.ablation(options.run)
    grown = ablations.grids(ablations.read(table)) | ablations.grids(rows)
    write_table(table, ablations.COLUMNS, (item.cells for grid in grown.values() for item in grid))
    print(text(rows))
    if options.seeds:
        print(f"\n{spread.comparison(rows, higher_is_better=score.higher_is_better)}")
    failed = dict.fromkeys(item.experiment for item in rows if item.score is None)
    for name in failed:
        print(f"{name} failed: `dvc queue logs {name}` shows why", file=sys.stderr)
    print(f"{table}: written; `dvc exp apply NAME` takes an experiment over")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.ablate", description="A run's grids of ablations.yaml, as one table.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml and ablations.yaml")
    parser.add_argument("--grid", metavar="NAME", help="this grid alone")
    parser.add_argument(
        "--seeds", metavar="N", type=int, nargs="+", action=Seeds, default=[], help="each value with each of them"
    )
    parser.add_argument("--jobs", metavar="N", type=int, choices=range(1, 65), default=1, help="experiments at a time")
    return parser


def row(value: Value, ref: str | None, metric: str, source: str | list[str]) -> Row:
    """What an experiment came to, read from its commit. ref: None if it failed. metric: the task's score."""
    evaluation = queue.made(ref, paths.evaluation(value.run)) if ref else {}
    weights = evaluation.get("weights_sha256", "")
    timing = json.loads(file.read_text()) if ref and (file := paths.timing(weights)).is_file() else {}
    return Row(
        grid=value.grid,
        key=value.key,
        value=value.label,
        source=source if isinstance(source, str) else "; ".join(source),
        metric=metric,
        score=evaluation.get("dev", {}).get(metric),
        lr=queue.made(ref, paths.lr(value.run))["lr"] if ref else None,
        epochs=timing.get("epochs"),
        seconds=timing.get("train_seconds"),
        weights=weights[:12],
        experiment=value.name,
        command=shlex.join(["dvc", "exp", "run", *value.arguments]),
    )


def text(rows: Sequence[Row]) -> str:
    """The rows for a terminal, in columns."""
    lines = [["experiment", rows[0].metric, "lr", "epochs", "seconds", "weights"]]
    for item in rows:
        score = "failed" if item.score is None else f"{item.score:.4f}"
        others = ["" if cell is None else str(cell) for cell in (item.lr, item.epochs, item.seconds)]
        lines.append([item.experiment, score, *others, item.weights])
    return columns(lines)


if __name__ == "__main__":
    queue.run_command(main)
