"""`make seeds RUN=pblstm`: train one run with several seeds and measure the spread of its headline metrics on dev.

Not a stage: each seed is an experiment in DVC's queue, like a value of `make ablate`. The seed decides the initialisation,
the order of the batches, dropout, augmentation and, for `lr: find`, the range test. The data and their dev split depend on
`data_seed`. Writes metrics/RUN/seeds.json, which the report shows.
"""

import argparse
import json
from collections.abc import Sequence

from stages.ablating import grids, queue, spread
from stages.ablating.prepare import chosen_run
from stages.ablating.spread import Seeds, check_seed
from stages.core import paths
from stages.reporting.environment import git
from stages.reporting.page import flatten
from stages.tasks import load_params


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. Raises InputError if a seed failed, because the others alone would look better than the run is."""
    options, params = _parser().parse_args(arguments), load_params()
    run, seeds = chosen_run(options.run, "seeds", params), options.seeds or [params.seed + number for number in range(3)]
    check_seed(options.run, run)
    values = [grids.present(options.run, seed) for seed in seeds]
    queue.prepare(f"normalize@{run.task}")
    refs = queue.run_all(values, options.jobs)
    metrics = spread.by_metric([flatten(queue.made(ref, paths.headlines(options.run))["dev"]) for ref in refs])
    for found in metrics.values():
        found["interval"] = spread.interval(found["values"])
    report = {"seeds": seeds, "source": params.task(run.task).source, "commit": git("rev-parse", "HEAD"), "dev": metrics}
    with paths.replacing(paths.seeds(options.run)) as partial:
        partial.write_text(json.dumps(report, indent=2) + "\n")
    print(spread.text(metrics))
    print(f"{paths.seeds(options.run)}: written; seeds {', '.join(map(str, seeds))}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m stages.seeds", description="One run with several seeds.")
    parser.add_argument("run", metavar="RUN", help="its name in params.yaml")
    parser.add_argument(
        "--seeds", metavar="N", type=int, nargs="+", action=Seeds, help="default: the one in params.yaml and the next two"
    )
    parser.add_argument("--jobs", metavar="N", type=int, choices=range(1, 65), default=1, help="experiments at a time")
    return parser


if __name__ == "__main__":
    queue.run_command(main)
