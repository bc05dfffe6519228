"""The spread of scores over seeds, and tests whether two settings differ significantly."""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stages.config.schema import Run
from stages.core.columns import columns
from stages.core.errors import InputError
from stages.reporting.ablations import Row

PRESENT = "as it is"  # the name of the unchanged run among a grid's values
ALPHA = 0.05  # significance level of all comparisons of a grid together


def check_seed(name: str, run: Run) -> None:
    """Raise InputError if the run has its own seed, which would hide one that a command sets."""
    if run.train.seed is not None:
        raise InputError(f"runs.{name}.train.seed: hides the seeds to compare; remove it")


class Seeds(argparse.Action):
    """A command's seeds: at least two different ones, none negative."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: str | None = None) -> None:
        if len(set(values)) < max(len(values), 2) or min(values) < 0:
            parser.error(f"{option}: must be two or more different seeds from 0 on, as in 1 2 3, not how many there are")
        namespace.seeds = values


class Spread(NamedTuple):
    """Statistics of n values. sd: the sample standard deviation, with n - 1."""

    mean: float
    sd: float
    n: int
    min: float
    max: float


def spread(values: Sequence[float]) -> Spread:
    """Return the statistics of at least two values."""
    return Spread(statistics.fmean(values), statistics.stdev(values), len(values), min(values), max(values))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % confidence interval of the mean by Student's t, for independent values such as those of seeds."""
    from scipy.stats import t

    mean, sd, n, _, _ = spread(values)
    half = float(t.ppf(0.975, n - 1)) * sd / n**0.5
    return mean - half, mean + half


def by_metric(found: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """Return each metric's spread and values over several experiments. found: the metrics of each experiment."""
    values = {name: [metrics[name] for metrics in found] for name in found[0]}
    return {name: {**spread(scores)._asdict(), "values": scores} for name, scores in values.items()}


def text(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a table with a line for each metric of `by_metric`, with their intervals if they have them."""
    rows = [["metric on dev", "mean", "sd", "n", "min", "max"]]
    for name, found in metrics.items():
        mean, sd, low, high = (f"{found[key]:.4f}" for key in ("mean", "sd", "min", "max"))
        rows.append([name, mean, sd, str(found["n"]), low, high])
    if all("interval" in found for found in metrics.values()):
        bounds = ["{:.4f} to {:.4f}".format(*found["interval"]) for found in metrics.values()]
        rows = [[*row, cell] for row, cell in zip(rows, ["95 % interval of the mean", *bounds], strict=True)]
    return columns(rows)


def paired_p(values: Sequence[float], others: Sequence[float]) -> float | None:
    """Return the two-sided p value of Student's t-test for paired values, or None if all differences are equal."""
    from scipy.stats import ttest_rel

    if len({round(value - other, 12) for value, other in zip(values, others, strict=True)}) == 1:
        return None
    return float(ttest_rel(values, others).pvalue)


def comparison(rows: Sequence[Row], *, higher_is_better: bool) -> str:
    """Return a table with a line per value: mean, sd, and compared with the unchanged run the difference, p and verdict.

    rows: for each grid PRESENT and the values, a row for each seed, with the seeds in the same order. Comparisons leave out
    failed seeds on both sides. With k values a difference is significant if p is at most ALPHA / k (Bonferroni).
    """
    lines = [["value", rows[0].metric, "sd", "n", "difference", "p", ""]]
    for grid in dict.fromkeys(row.grid for row in rows):
        scores: dict[str, list[float | None]] = {}
        for row in rows:
            if row.grid == grid:
                scores.setdefault(row.value, []).append(row.score)
        for value, found in scores.items():
            pairs = [
                (score, other) for score, other in zip(found, scores[PRESENT], strict=True) if None not in (score, other)
            ]
            lines.append([f"{grid} {value}", *_cells(pairs, value == PRESENT, ALPHA / (len(scores) - 1), higher_is_better)])
    return columns(lines)


def _cells(pairs: Sequence[Any], is_present: bool, alpha: float, higher_is_better: bool) -> list[str]:
    if len(pairs) < 2:
        return ["", "", str(len(pairs)), "", "", "too few scores"]
    values, others = zip(*pairs, strict=True)
    mean, sd, n, _, _ = spread(values)
    cells = [f"{mean:.4f}", f"{sd:.4f}", str(n)]
    if is_present:
        return [*cells, "", "", ""]
    difference = mean - statistics.fmean(others)
    if values == others:
        return [*cells, "0", "", "the same numbers"]
    if (p := paired_p(values, others)) is None:
        return [*cells, f"{difference:+.4f}", "", "no test: the difference is equal for every seed"]
    verdict = "better" if (difference > 0) == higher_is_better else "worse"
    return [*cells, f"{difference:+.4f}", f"{p:.3f}", verdict if p <= alpha else "not distinguishable"]
