"""Vega-Lite specifications that compare experiments: curves, score over a parameter, parallel coordinates.

The signal `chosen` lists the experiments whose boxes are ticked. Curves show only these; other charts show all, with these
in colour.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stages.reporting.charts import EPOCH, GREY, GRID, STYLES, ZOOM, frame
from stages.reporting.collect import Curve

# The contrast is at least 3.7:1 on the light and on the dark page.
COLOURS = (
    "#2a7fd4", "#d1541f", "#23935a", "#a855b5", "#a08000", "#d6406f", "#118f99", "#7d73e8", "#98714d", "#77818c",
)  # fmt: skip
OTHERS = "#9aa0aa"
IS_CHOSEN = "indexof(chosen, datum.experiment) >= 0"
MAX_DOTS = 40  # epochs of a curve whose points are drawn
MAX_LABELS = 8  # distinct values that are all labelled
LOG_RATIO = 20  # between the largest and the smallest value, from which the axis is logarithmic


@dataclass(frozen=True)
class Axis:
    """The values of a parameter or score, by experiment. Strings are in alphabetical order."""

    name: str
    values: Mapping[str, float | str]

    @property
    def numbers(self) -> list[float]:
        """The values if all are numbers, else none."""
        found = [value for value in self.values.values() if not isinstance(value, str)]
        return found if len(found) == len(self.values) else []

    @property
    def is_log(self) -> bool:
        return bool(self.numbers) and min(self.numbers) > 0 and max(self.numbers) >= LOG_RATIO * min(self.numbers)

    def place(self, value: float | str) -> float:
        """Return the position of a value, from 0 for the lowest to 1 for the highest."""
        if isinstance(value, str) or not self.numbers:
            texts = sorted(set(map(str, self.values.values())))
            low, high, at = 0.0, float(len(texts) - 1), float(texts.index(str(value)))
        else:
            scaled = math.log if self.is_log else float
            low, high, at = scaled(min(self.numbers)), scaled(max(self.numbers)), scaled(value)
        return (at - low) / (high - low) if high > low else 0.5

    def ticks(self) -> list[float | str]:
        """Return the values to label: the lowest and highest number, or all strings."""
        return [min(self.numbers), max(self.numbers)] if self.numbers else sorted(set(map(str, self.values.values())))


def curves(
    run: str, metric: str, found: Mapping[str, Mapping[str, Curve]], colours: Mapping[str, str], chosen: Sequence[str]
) -> dict[str, Any]:
    """A line for each experiment and split over the epochs. found: by experiment, then by split."""
    rows = [
        {"experiment": name, "epoch": epoch, "value": value, "split": split}
        for name, splits in found.items()
        for split, points in splits.items()
        for epoch, value in points
    ]
    longest = max(len(points) for splits in found.values() for points in splits.values())
    dashes = {"domain": ["", *STYLES], "range": [[1, 0], *(dash for _, dash in STYLES.values())]}
    return frame(f"{run}: {metric} by epoch of the chosen experiments.", rows) | {
        "params": [_chosen(chosen), ZOOM],
        "transform": [{"filter": IS_CHOSEN}],
        "mark": {"type": "line", "point": {"size": 30} if longest < MAX_DOTS else False, "clip": True, "tooltip": True},
        "encoding": {
            "x": EPOCH,
            "y": {"field": "value", "type": "quantitative", "scale": {"zero": False}, "title": metric},
            "color": {"field": "experiment", "type": "nominal", "scale": _scale(colours), "legend": None},
            "strokeDash": {"field": "split", "type": "nominal", "scale": dashes, "legend": None},
        },
    }


def scatter(run: str, parameter: Axis, score: Axis, colours: Mapping[str, str], chosen: Sequence[str]) -> dict[str, Any]:
    """A point for each experiment that has a score: the score over the parameter's value."""
    rows = [{"experiment": name, "value": parameter.values[name], "score": value} for name, value in score.values.items()]
    numbers = parameter.numbers
    x: dict[str, Any] = {"field": "value", "type": "nominal", "sort": parameter.ticks(), "axis": {"labelAngle": 0}}
    if numbers:
        marks = {"values": sorted(set(numbers)), "format": "~g"} if len(set(numbers)) <= MAX_LABELS else {}
        scale = ({"type": "log"} if parameter.is_log else {"zero": False}) | {"nice": False, "padding": 20}
        x = {"field": "value", "type": "quantitative", "scale": scale, "axis": {"grid": False, "labelOverlap": True} | marks}
    return frame(f"{run}: {score.name} against {parameter.name}.", rows) | {
        "params": [_chosen(chosen)],
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9, "tooltip": True},
        "encoding": {
            "x": {**x, "title": parameter.name},
            "y": {"field": "score", "type": "quantitative", "scale": {"zero": False, "padding": 12}, "title": score.name},
            "color": _colour(colours),
        },
    }


def parallel(run: str, axes: Sequence[Axis], colours: Mapping[str, str], chosen: Sequence[str]) -> dict[str, Any]:
    """A line for each experiment on the last axis, the score, through its values on all axes."""
    names = [axis.name for axis in axes]
    rows = [
        {"experiment": name, "axis": axis.name, "at": axis.place(axis.values[name]), "value": axis.values[name]}
        for name in axes[-1].values
        for axis in axes
    ]
    ticks = [
        {"axis": axis.name, "at": (at := axis.place(tick)), "text": f"{tick:.6g}" if axis.numbers else tick, "low": at < 0.5}
        for axis in axes
        for tick in axis.ticks()
    ]
    labels = {"labelAngle": 0, "labelPadding": 24, "labelExpr": "split(datum.label, '.')", "domain": False, "ticks": False}
    x = {"field": "axis", "type": "nominal", "sort": names, "title": None, "axis": labels}
    y = {"field": "at", "type": "quantitative", "scale": {"domain": [0, 1]}, "axis": None}
    line = {"mark": {"type": "line", "point": True, "tooltip": True}, "encoding": {"x": x, "y": y}}

    def text(where: str, **mark: Any) -> dict[str, Any]:
        encoding = {"x": x, "y": y, "text": {"field": "text"}}
        return {
            "data": {"values": ticks},
            "transform": [{"filter": where}],
            "mark": {"type": "text", "fontSize": 12, "color": GREY, "clip": False, **mark},
            "encoding": encoding,
        }

    return frame(f"{run}: the parameters that differ, and {names[-1]}, a line for each experiment.", rows) | {
        "params": [_chosen(chosen)],
        "height": 280,
        "view": {"stroke": None},
        "layer": [
            {"data": {"values": ticks}, "mark": {"type": "rule", "color": GRID}, "encoding": {"x": x}},
            line | {"encoding": line["encoding"] | {"detail": {"field": "experiment"}, "color": _colour(colours)}},
            text("datum.low", dy=14),
            text("!datum.low", dy=-12),
        ],
    }


def _chosen(names: Iterable[str]) -> dict[str, Any]:
    return {"name": "chosen", "value": list(names)}


def _scale(colours: Mapping[str, str]) -> dict[str, Any]:
    return {"domain": list(colours), "range": list(colours.values())}


def _colour(colours: Mapping[str, str]) -> dict[str, Any]:
    """The experiment's colour if it is chosen, else grey."""
    return {
        "condition": {"test": IS_CHOSEN, "field": "experiment", "type": "nominal", "scale": _scale(colours), "legend": None},
        "value": OTHERS,
    }
