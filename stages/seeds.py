"""`make seeds RUN=pblstm`: one run trained with several seeds, and how far its headline metrics on dev lie apart.

Not a stage: each seed is an experiment in DVC's queue, as a value of `make ablate` is. The seed draws the initialisation,
the order of the batches, dropout, augmentation and, for `lr: find`, the range test. The data and their dev split have
`data_seed`, and stay. metrics/RUN/seeds.json is written, which the report shows; nothing is chosen.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from stages.ablating import grids, queue
from stages.ablating.spread import Seeds, spread
from stages.config.check import nearest
from stages.core import paths
from stages.core.columns import columns
from stages.core.errors import InputError
from stages.reporting.environment import git
from stages.reporting.page import flatten
from stages.tasks import load_params


def main(arguments: Sequence[str] | None = None) -> None:
    """Raises InputError where a seed came to no score: the others alone would look better than the run is."""
    options, params = _parser().parse_args(arguments), load_params()
    if not options.run:
        raise InputError(f"name a run, as in `make seeds RUN={next(iter(params.runs))}`; {nearest('', params.runs)}")
    run, seeds = params.run(options.run), options.seeds or [params.seed + number for number in range(3)]
    values = [grids.present(options.run, seed) for seed in seeds]
    queue.prepare(f"normalize@{run.task}")
    refs = queue.run(values, options.jobs)
    if failed := [value.name for value in values if not refs.get(value.name)]:
        raise InputError(f"{', '.join(failed)}: failed, so there is no table; `dvc queue logs {failed[0]}` shows why")
    found = [flatten(queue.made(refs[value.name] or "", paths.headlines(options.run))["dev"]) for value in values]
    by_metric = {name: [item[name] for item in found] for name in found[0]}
    metrics = {name: {**spread(scores)._asdict(), "values": scores} for name, scores in by_metric.items()}
    report = {"seeds": seeds, "source": params.task(run.task).source, "commit": git("rev-parse", "HEAD"), "dev": metrics}
    with paths.replacing(paths.seeds(options.run)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    print(text(metrics))
    print(f"{paths.seeds(options.run)}: written; seeds {', '.join(map(str, seeds))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.seeds", description="One run with several seeds.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml")
    parser.add_argument("--seeds", metavar="N", type=int, nargs="+", action=Seeds, help="the present one and the next two")
    parser.add_argument("--jobs", metavar="N", type=int, choices=range(1, 65), default=1, help="experiments at a time")
    return parser


def text(metrics: dict[str, dict[str, Any]]) -> str:
    """A line for each metric."""
    rows = [["metric on dev", "mean", "sd", "n", "min", "max"]]
    for name, found in metrics.items():
        mean, sd, low, high = (f"{found[key]:.4f}" for key in ("mean", "sd", "min", "max"))
        rows.append([name, mean, sd, str(found["n"]), low, high])
    return columns(rows)


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        print("interrupted: the queue goes on with what it has, and the same command waits for it again;")
        print("`dvc queue stop --kill` ends what runs, `dvc queue remove --queued` forgets what waits")
        sys.exit(130)
