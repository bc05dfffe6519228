"""Vega-Lite specifications of curves and comparisons; pictures and sound as data URIs."""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from stages.reporting.ablations import Row
from stages.reporting.collect import AUDIO, Curve

# Solid and dashed, to be distinguishable without colours. Both colours have a contrast of 3:1 on white.
STYLES = {"train": ("#2b6cb0", [1, 0]), "dev": ("#bd1f01", [6, 3])}
GREY = "#4a4a4a"  # 8.9:1 on white
GRID = "#d5d5da"
# A trackpad's pinch arrives as Ctrl and wheel; a plain wheel scrolls the page.
ZOOM = {
    "name": "zoom",
    "bind": "scales",
    "select": {"type": "interval", "zoom": "wheel![event.ctrlKey || event.metaKey]"},
}
# Hides ticks at half epochs, which Vega's tickMinStep alone does not prevent.
WHOLE = {"condition": {"test": "datum.value % 1", "value": 0}, "value": 1}
EPOCH = {
    "field": "epoch",
    "type": "quantitative",
    "scale": {"nice": False},
    "axis": {
        "tickMinStep": 1,
        "labelExpr": "datum.value % 1 ? '' : datum.value",
        "gridOpacity": WHOLE,
        "tickOpacity": WHOLE,
    },
}
WEBP_QUALITY = 90  # a third of the PNG's size, with sharp text


def curve(run: str, metric: str, splits: dict[str, Curve]) -> dict[str, Any]:
    """A zoomable line for each split over the epochs. splits: {"": …} for a metric without splits."""
    title = "learning rate" if metric == "lr" else metric
    rows = [
        {"epoch": epoch, "value": value, "split": split or title}
        for split, points in splits.items()
        for epoch, value in points
    ]
    names = [split or title for split in splits]
    colours, dashes = zip(*[STYLES.get(name, (GREY, [1, 0])) for name in names], strict=True)
    legend = {"title": None, "orient": "top", "symbolType": "stroke", "symbolSize": 400} if splits.keys() != {""} else None
    values = {row["value"] for row in rows if row["value"] is not None}
    few = max(len(points) for points in splits.values()) < 40
    return frame(f"{run}: {title} by epoch. The table below it has the numbers.", rows) | {
        "params": [ZOOM],
        "mark": {"type": "line", "point": {"size": 30} if few else False, "clip": True, "tooltip": True},
        "encoding": {
            "x": EPOCH,
            "y": {
                "field": "value",
                "type": "quantitative",
                "scale": {"zero": len(values) == 1, "padding": 8},  # a constant has no range, so its axis starts at zero
                "title": title,
            },
            "color": {"field": "split", "type": "nominal", "scale": {"domain": names, "range": colours}, "legend": legend},
            "strokeDash": {
                "field": "split",
                "type": "nominal",
                "scale": {"domain": names, "range": dashes},
                "legend": legend,
            },
        },
    }


def comparison(run: str, rows: Sequence[Row]) -> dict[str, Any]:
    """A point for each value of a grid that has a score, in the grid's order."""
    metric, grid = rows[0].metric, rows[0].grid
    points = [{"value": row.value, "score": row.score} for row in rows if row.score is not None]
    axis = {"field": "value", "type": "nominal", "sort": None, "title": rows[0].key, "axis": {"labelAngle": 0}}
    return frame(f"{run}: {metric} of each value of {grid}. The table below it has the numbers.", points) | {
        "encoding": {
            "x": axis,
            "y": {"field": "score", "type": "quantitative", "scale": {"zero": False, "padding": 20}, "title": metric},
        },
        "layer": [
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "size": 80,
                    "opacity": 1,
                    "color": STYLES["train"][0],
                    "tooltip": True,
                }
            },
            {
                "mark": {"type": "text", "dy": -14, "fontSize": 12, "color": GREY},
                "encoding": {"text": {"field": "score", "type": "quantitative", "format": ".4g"}},
            },
        ],
    }


def frame(description: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The common parts of all charts."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",  # never fetched
        "description": description,
        "width": "container",
        "height": 220,
        "background": "transparent",
        "autosize": {"type": "fit", "contains": "padding"},
        "data": {"name": "rows", "values": rows},
        "config": {
            "font": "system-ui, sans-serif",
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 13,
                "labelColor": GREY,
                "titleColor": GREY,
                "titleFontWeight": 500,
                "gridColor": GRID,
            },
            "view": {"stroke": GRID},
            "legend": {"labelFontSize": 12, "labelColor": GREY},
        },
    }


def sparkline(points: Curve, width: int = 120, height: int = 28) -> str:
    """Return the points of an SVG polyline for a small curve, or nothing for fewer than two finite points."""
    finite = [(epoch, value) for epoch, value in points if value is not None]
    if len(finite) < 2:
        return ""
    epochs, values = zip(*finite, strict=True)
    low, high = min(values), max(values)
    across, up = (width - 4) / (epochs[-1] - epochs[0]), (height - 4) / ((high - low) or 1)
    return " ".join(f"{2 + (x - epochs[0]) * across:.1f},{2 + (high - y) * up:.1f}" for x, y in finite)


class Picture(NamedTuple):
    uri: str
    width: int
    height: int


def embed(picture: Path) -> Picture:
    """Embed a picture as WebP or unchanged, whichever is smaller."""
    original = picture.read_bytes()
    pixels = cv2.imdecode(np.frombuffer(original, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None, f"{picture} is not a picture"
    _, encoded = cv2.imencode(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, WEBP_QUALITY])
    kind, content = min(("webp", encoded.tobytes()), ("png", original), key=lambda each: len(each[1]))
    height, width = pixels.shape[:2]
    return Picture(f"data:image/{kind};base64,{base64.b64encode(content).decode()}", width, height)


def sound(file: Path) -> str:
    """Return a recording as a data URI."""
    return f"data:{AUDIO[file.suffix]};base64,{base64.b64encode(file.read_bytes()).decode()}"
