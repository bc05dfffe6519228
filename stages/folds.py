"""`make folds RUN=custom_resnet`: cross-validation, for data without a dev split.

Not a stage: each fold is an experiment in DVC's queue, like a value of `make ablate`, with that part of the training data
as dev. metrics/RUN/folds.json has the spread of the headline metrics over the folds, and the score over all items.
data/folds/RUN/ has out_of_fold.csv, with the prediction for each item by the network that was not trained on it, and
test.csv and the submission, from the mean probabilities of all networks.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.ablating import grids, queue, spread
from stages.ablating.prepare import chosen_run
from stages.config.schema import Run
from stages.core import checksums, paths
from stages.core.errors import InputError
from stages.data.packed import read_texts
from stages.data.tables import Row, Table, read_table, write_table
from stages.reporting.environment import git
from stages.reporting.page import flatten
from stages.results.members import Member
from stages.tasks import load_params, task_module

OUT_OF_FOLD = "out_of_fold.csv"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Raises InputError for a run or task without folds, or if a fold failed."""
    options, params = _parser().parse_args(arguments), load_params()
    run = chosen_run(options.run, "folds", params)
    task = params.task(run.task)
    if not hasattr(task, "fold"):
        raise InputError(f"tasks.{run.task}: tasks of the kind {run.kind} have no folds")
    queue.prepare(f"normalize@{run.task}")
    refs = queue.run_all(grids.folds(options.run, run.task, options.of), options.jobs)
    metrics = spread.by_metric([flatten(queue.made(ref, paths.headlines(options.run))["dev"]) for ref in refs])
    with paths.replacing(paths.folds_together(options.run)) as out, tempfile.TemporaryDirectory() as folder:
        out.mkdir()
        members = [Member(f"fold {number}", Path(folder) / str(number), 1 / len(refs)) for number in range(len(refs))]
        for member, ref in zip(members, refs, strict=True):
            queue.fetch(ref, paths.predictions(options.run), member.folder)
            checksums.check(member.folder)
        scores = _out_of_fold(members, run, out)
        rows = _submission(members, run, out)
    report = {
        "of": options.of,
        "source": task.source,
        "commit": git("rev-parse", "HEAD"),
        "dev": metrics,
        "out_of_fold": scores,
    }
    with paths.replacing(paths.folds(options.run)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    print(spread.text(metrics))
    rest = f"; {scores['only_train']:,} items are in no fold, each alone in its class" if scores["only_train"] else ""
    shown = ", ".join(f"{name} {value:.4f}" for name, value in scores.items() if isinstance(value, float))
    print(f"out of fold, all {scores['num']:,} items: {shown}{rest}")
    if run.evaluate.weights == "best":
        print("these are a little too good: `evaluate.weights: best` chose each network's epoch on its own fold")
    for name, num in rows.items():
        print(f"{paths.folds_together(options.run) / name}: {num:,} rows, the mean of {len(members)} networks")
    print(f"{paths.folds(options.run)}, {paths.folds_together(options.run) / OUT_OF_FOLD}: written")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.folds", description="Cross-validation of one run.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml")
    parser.add_argument("--of", metavar="N", type=int, choices=range(2, 101), default=5, help="folds, 2 to 100; default: 5")
    parser.add_argument("--jobs", metavar="N", type=int, choices=range(1, 65), default=1, help="experiments at a time")
    return parser


def _out_of_fold(members: Sequence[Member], run: Run, out: Path) -> dict[str, Any]:
    """Write the members' dev.csv as one table with a column `fold`. Returns its scores and numbers of items.

    Raises InputError if the folds are not parts of the training data that `normalize` wrote.
    """
    tables = [read_table(member.folder / "dev.csv") for member in members]
    rows = sorted([*row.cells, str(number)] for number, table in enumerate(tables) for row in table.rows)
    names, header = [cells[0] for cells in rows], [*tables[0].header, "fold"]
    training = {name for split in ("train", "dev") for name in read_texts(paths.features(run.task) / split / "names")}
    if len(set(names)) < len(names) or not training.issuperset(names):
        raise InputError(f"tasks.{run.task}.fold: the dev splits of the experiments are not parts of the training data")
    write_table(out / OUT_OF_FOLD, header, rows)
    together = Table(str(out / OUT_OF_FOLD), header, [Row(line, cells) for line, cells in enumerate(rows, start=2)])
    return {**task_module(run.kind, "folds").score(together), "num": len(names), "only_train": len(training) - len(names)}


def _submission(members: Sequence[Member], run: Run, out: Path) -> dict[str, int]:
    """Write the test split's predictions and the checked submission files. Returns file name -> number of rows."""
    features = paths.features(run.task)
    if not (features / "test").is_dir() or not read_texts(features / "test" / "names"):
        return {}
    task_module(run.kind, "folds").predict_test(members, features, run, out)
    submission = task_module(run.kind, "submission")
    return {file.name: submission.check(file, features, out) for file in submission.write(out, features, out)}


if __name__ == "__main__":
    queue.run_command(main)
