"""`make compare`: data/experiments/index.html, one page that compares DVC's experiments.

Not a stage: a stage cannot depend on experiments, so the page is only as fresh as the last call.
"""

from pathlib import Path

from stages.core import paths
from stages.core.errors import run_command
from stages.reporting.experiments.collect import collect
from stages.reporting.experiments.page import render

PAGE = Path("data/experiments/index.html")


def main() -> None:
    versions = collect()
    page = render(versions)
    with paths.replacing(PAGE) as partial:
        partial.write_text(page, encoding="utf-8")
    experiments = [version.state for version in versions if version.is_experiment]
    others = "".join(
        f", {experiments.count(state)} {state}" for state in ("running", "queued", "failed") if state in experiments
    )
    print(f"{PAGE}: {len(experiments)} experiments{others}, {len(page) / 1e6:.1f} MB")


if __name__ == "__main__":
    run_command(main)
