"""The first table of docs/RESULTS.md, of the records that `make recipe` writes: `python -m benchmarks.records` writes it."""

import json
import re
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from stages.recipe import RECORDS
from stages.reporting.page import flatten

PAGE = Path("docs/RESULTS.md")
TABLE = re.compile(r"(?<=<!-- python -m benchmarks\.records -->\n).*?(?=\n\n)", re.S)
# How each headline metric is shown: its name, what it is multiplied by, digits, unit.
METRICS = {
    "accuracy": ("right", 100, 2, " %"),
    "plain_accuracy": ("one view a picture", 100, 2, " %"),
    "verification.eer": ("equal error rate", 100, 1, " %"),
    "verification.accuracy": ("unknown faces", 100, 1, " %"),
    "per": ("phoneme error rate", 100, 2, " %"),
    "distance": ("distance", 1, 3, ""),
}


def table() -> str:
    """A row a recipe; the seeds of one as mean ± standard deviation."""
    by_recipe = defaultdict[str, list[dict[str, Any]]](list)
    for file in sorted(RECORDS.glob("*.json")):
        record = json.loads(file.read_text())
        if "recipe" in record:
            by_recipe[record["recipe"]].append({**record, "file": file})
    lines = ["| recipe | what it is | on dev | training | machine, date, commit |", "|---|---|---|---|---|"]
    for recipe, records in by_recipe.items():
        links = ", ".join(f"[{record['seed']}](../{record['file'].as_posix()})" for record in records)
        last = records[-1]
        timings = [record["timing"] for record in records if record["timing"]]  # none if DVC's run cache had the training
        training = f"{max(map(len, last['history'].values()))} epochs"
        if timings:
            minutes = statistics.mean(timing["train_seconds"] for timing in timings) / 60
            training += f", {minutes:.0f} minutes, {timings[-1]['precision']}"
        lines.append(
            f"| [{recipe}](../recipes/{recipe}.yaml), seed {links} | {last['claim']} | {scores(records)} "
            f"| {training} | {last['machine']}, {last['date']}, {last['commit'][:7]} |"
        )
    return "\n".join(lines)


def scores(records: list[dict[str, Any]]) -> str:
    """The headline metrics of one recipe's records."""
    shown, found = [], [flatten(record["evaluate"]["dev"]) for record in records]
    for key, (name, factor, digits, unit) in METRICS.items():
        values = [factor * metrics[key] for metrics in found if key in metrics]
        if values:
            spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
            shown.append(f"{name} {statistics.mean(values):.{digits}f}{spread}{unit}")
    return ", ".join(shown)


def main() -> None:
    page = PAGE.read_text()
    assert TABLE.search(page), f"{PAGE}: the mark of the table is gone"
    PAGE.write_text(TABLE.sub(lambda _: table(), page))


if __name__ == "__main__":
    main()
