"""Stage `report`: write index.html, one self-contained page about all runs.

Runs that are not trained or evaluated yet have gaps. Equal metrics and parameters give equal bytes, except for the software
versions on the page; DVC does not rerun the stage when only those change.
"""

from pathlib import Path

from stages.core import paths
from stages.core.errors import run_stage
from stages.reporting.collect import collect
from stages.reporting.environment import environment
from stages.reporting.page import render
from stages.tasks import load_params


def main(folder: str) -> None:
    runs = collect(load_params())
    page = render(runs, environment())
    with paths.output(Path(folder)) as out:
        out.mkdir()
        (out / "index.html").write_text(page, encoding="utf-8")
    evaluated = sum(results.evaluation is not None for results in runs)
    print(f"{folder}/index.html: {evaluated} of {len(runs)} runs evaluated, {len(page) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_stage(main)
