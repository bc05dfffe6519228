"""`python -m stages.scores`: print a line for each run with its headline score."""

import sys

from stages.core.columns import columns
from stages.core.errors import InputError
from stages.reporting.collect import Results, collect
from stages.reporting.page import headline
from stages.tasks import load_params


def main() -> None:
    rows = [("run", "data", "score on dev", "epochs"), *map(_row, collect(load_params()))]
    print(columns(rows))
    print("\nmore: open data/report/index.html")


def _row(results: Results) -> tuple[str, ...]:
    source = results.source if len(results.source) < 20 else "of your own"
    return results.name, f"{results.run.task}, {source}", headline(results), str(results.epochs or "–")


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
