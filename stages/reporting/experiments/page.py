"""The page of experiments: a table of all, and charts for each run whose results changed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.reporting.collect import score_name
from stages.reporting.experiments import charts
from stages.reporting.experiments.charts import Axis
from stages.reporting.experiments.collect import Version
from stages.reporting.page import fill, label, shown

CHOSEN = 6  # versions of a run that are ticked at first
MAX_PARAMETERS = 6  # that have charts
ABSENT = "–"


@dataclass(frozen=True)
class Comparison:
    """A run in several versions of the project: those that changed its results, and their bases."""

    run: str
    versions: Sequence[Version]
    score: Axis
    parameters: Sequence[Axis]  # that differ between the versions with a score

    @property
    def colours(self) -> dict[str, str]:
        return {version.name: charts.COLOURS[i % len(charts.COLOURS)] for i, version in enumerate(self.versions)}

    @property
    def chosen(self) -> list[str]:
        return [version.name for version in self.versions[:CHOSEN]]


def render(versions: Sequence[Version], live: bool = False) -> str:
    """Return the page's HTML. live: it comes from the server of reporting/live.py."""
    sections = [
        {
            "run": found.run,
            "boxes": [
                (version.name, colour, score_or_state(found, version), version.name in found.chosen)
                for version, colour in zip(found.versions, found.colours.values(), strict=True)
            ],
            "curves": curves(found),
            "scatters": [
                (axis.name, charts.scatter(found.run, axis, found.score, found.colours, found.chosen))
                for axis in found.parameters[:MAX_PARAMETERS]
            ],
            "parallel": charts.parallel(
                found.run, [*found.parameters[:MAX_PARAMETERS], found.score], found.colours, found.chosen
            )
            if len(found.parameters) > 1
            else None,
            "left_out": [axis.name for axis in found.parameters[MAX_PARAMETERS:]],
        }
        for found in comparisons(versions)
    ]
    return fill(
        "experiments/page.html",
        title="Experiments",
        rows=[(version, changes(version), results(version)) for version in versions],
        sections=sections,
        any_experiment=any(version.is_experiment for version in versions),
        live=live,
    )


def comparisons(versions: Sequence[Version]) -> list[Comparison]:
    """Compare the versions of each run that changed, in alphabetical order."""
    runs = {run for version in versions for run in (*version.contents.metrics, *version.contents.curves)}
    return [found for run in sorted(runs) if (found := _compare(run, versions)).versions]


def _compare(run: str, versions: Sequence[Version]) -> Comparison:
    changed = [version for version in versions if version.base and version.base.has(run) and version.has_own(run)]
    bases = [version.base for version in changed]
    kept = [version for version in versions if version in changed or version in bases]
    name = next(filter(None, (score_name(version.contents.curves.get(run, {})) for version in kept)), "loss")
    values = {version.name: version.contents.metrics.get(run, {}).get(f"dev.{name}") for version in kept}
    score = Axis(name, {version: value for version, value in values.items() if value is not None})
    return Comparison(run, kept, score, _differing(run, [version for version in kept if version.name in score.values]))


def _differing(run: str, versions: Sequence[Version]) -> list[Axis]:
    """Return the parameters that differ and may affect the run."""
    params = {version.name: version.contents.params for version in versions}
    tasks = {str(values.get(f"runs.{run}.task")) for values in params.values()}
    found = []
    for key in dict.fromkeys(key for values in params.values() for key in values):
        block, name = (*key.split("."), "")[:2]
        values = {version: of_version.get(key, ABSENT) for version, of_version in params.items()}
        if block == "reached_before" or (block == "runs" and name != run) or (block == "tasks" and name not in tasks):
            continue
        if any(value != next(iter(values.values())) for value in values.values()):
            are_numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())
            axis = values if are_numbers else {version: text(value) for version, value in values.items()}
            found.append(Axis(key.removeprefix(f"runs.{run}."), axis))
    return found


def score_or_state(found: Comparison, version: Version) -> str:
    """Return the score or, without one, the last epoch or the state."""
    if version.name in found.score.values:
        return shown(found.score.name, found.score.values[version.name])
    splits = [curve for metric in version.contents.curves.get(found.run, {}).values() for curve in metric.values()]
    epochs = [epoch for curve in splits for epoch, _ in curve]
    return f"epoch {max(epochs)}" if epochs else version.state


def curves(found: Comparison) -> list[tuple[str, dict[str, Any]]]:
    """Return (metric, chart), in the order of the first version that has curves."""
    by_metric: dict[str, dict[str, Any]] = {}
    for version in found.versions:
        for metric, splits in version.contents.curves.get(found.run, {}).items():
            by_metric.setdefault(metric, {})[version.name] = splits
    return [
        (metric, charts.curves(found.run, metric, versions, found.colours, found.chosen))
        for metric, versions in by_metric.items()
    ]


def changes(version: Version) -> list[tuple[str, str, str]]:
    """Return key, old and new value of each parameter that differs from the base."""
    if version.base is None:
        return []
    old, new = version.base.contents.params, version.contents.params
    keys = [key for key in {**old, **new} if old.get(key, ABSENT) != new.get(key, ABSENT)]
    return [(key, text(old.get(key, ABSENT)), text(new.get(key, ABSENT))) for key in keys]


def results(version: Version) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the runs whose headline metrics differ from the base, with name, value and difference of each."""
    if version.base is None:
        return []
    found = []
    for run, metrics in sorted(version.contents.metrics.items()):
        before = version.base.contents.metrics.get(run, {})
        numbers = [
            (label(name.removeprefix("dev.")), shown(name, value), difference(name, value, before.get(name)))
            for name, value in metrics.items()
            if value != before.get(name)
        ]
        found += [(run, numbers)] if numbers else []
    return found


def difference(name: str, new: float, old: float | None) -> str:
    """Format a signed difference, in percentage points for shares; empty without an old value."""
    return "" if old is None else f"{'+' if new > old else '−'}{shown(name, abs(new - old))}".replace("%", "points")


def text(value: Any) -> str:
    """Format a parameter's value as in params.yaml."""
    return value if isinstance(value, str) else json.dumps(value)
