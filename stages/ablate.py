"""`make ablate RUN=pblstm`: run the grids of ablations.yaml as DVC experiments and write their scores as a table.

Not a stage: experiments run stages. Each value is queued as `dvc exp run --queue -S … evaluate@RUN`. The results go to
metrics/RUN/ablation.csv, which the report shows. Each queue worker has its own copy of the project, and DVC's run cache
skips stages that ran before with the same data, code and parameters.
"""

import argparse
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence

from stages.ablating import grids, queue, spread
from stages.ablating.grids import Value
from stages.ablating.prepare import chosen_run
from stages.ablating.spread import Seeds
from stages.core import paths
from stages.core.columns import columns
from stages.data.tables import write_table
from stages.reporting import ablations
from stages.reporting.ablations import Row
from stages.tasks import load_params, task_module


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 1 if any experiment failed."""
    options, params = _parser().parse_args(arguments), load_params()
    run = chosen_run(options.run, "ablate", params)
    values = grids.choose(options.run, options.grid)
    if options.seeds:
        spread.check_seed(options.run, run)
    evaluates = any(value.key.startswith("evaluate") for value in values)
    queue.prepare(f"train@{options.run}" if evaluates and not options.seeds else f"normalize@{run.task}")
    score, source = task_module(run.kind, "training").SCORE, params.task(run.task).source
    trials = [value.with_seed(seed) for value in values for seed in options.seeds] or values
    baseline = [grids.present(options.run, seed) for seed in options.seeds]
    refs = queue.run([*baseline, *trials], options.jobs)
    rows = [result(value, refs.get(value.name), score.name, source) for value in trials]
    present = [result(value, refs.get(value.name), score.name, source) for value in baseline]
    if options.seeds:  # each grid also lists the unchanged run
        names = dict.fromkeys((row.grid, row.key) for row in rows)
        rows = [
            row
            for grid, key in names
            for row in (
                *(dataclasses.replace(row, grid=grid, key=key, value=spread.PRESENT) for row in present),
                *(row for row in rows if row.grid == grid),
            )
        ]
    table = paths.ablation(options.run)
    merged = ablations.grids(ablations.read(table)) | ablations.grids(rows)
    write_table(table, ablations.COLUMNS, (row.cells for grid in merged.values() for row in grid))
    print(text(rows))
    if options.seeds:
        print(f"\n{spread.comparison(rows, higher_is_better=score.higher_is_better)}")
    failed = dict.fromkeys(row.experiment for row in rows if row.score is None)
    for name in failed:
        print(f"{name} failed: `dvc queue logs {name}` shows why", file=sys.stderr)
    print(f"{table}: written; `dvc exp apply NAME` applies an experiment to the workspace")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.ablate", description="Run a run's grids from ablations.yaml.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml and ablations.yaml")
    parser.add_argument("--grid", metavar="NAME", help="run only this grid")
    parser.add_argument(
        "--seeds", metavar="N", type=int, nargs="+", action=Seeds, default=[], help="run each value with each seed"
    )
    parser.add_argument("--jobs", metavar="N", type=int, choices=range(1, 65), default=1, help="experiments at a time")
    return parser


def result(value: Value, ref: str | None, metric: str, source: str | list[str]) -> Row:
    """Read an experiment's result from its commit. ref: None if it failed. metric: the name of the task's score."""
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
    """Lay out the rows in columns for a terminal."""
    lines = [["experiment", rows[0].metric, "lr", "epochs", "seconds", "weights"]]
    for row in rows:
        score = "failed" if row.score is None else f"{row.score:.4f}"
        others = ["" if cell is None else str(cell) for cell in (row.lr, row.epochs, row.seconds)]
        lines.append([row.experiment, score, *others, row.weights])
    return columns(lines)


if __name__ == "__main__":
    queue.run_command(main)
