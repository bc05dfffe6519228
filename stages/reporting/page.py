"""The report: one HTML file with its styles, scripts and pictures, which needs no network."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

from stages.reporting import charts, vega
from stages.reporting.collect import Curve, Results

SHARES = {"accuracy", "per", "eer", "pixel_match", "substitutions", "insertions", "deletions"}  # shown in per cent
# The heading and alternative text of each picture, by its file's name. The heading of others is their file's name.
PICTURES = {
    "lr": ("Learning rate", "the loss at each rate of a range test or, without one, the rate over training"),
    "confusion": ("Confusion matrix", "counts of each true class, in rows, and predicted class, in columns"),
    "confused": ("Most confused", "bars for the most frequent pairs of true and predicted"),
    "misclassified": ("Most confident mistakes", "images with the true and the predicted class and the probability"),
    "disagreements": ("Disagreements", "images with the true class and the prediction of each member of the ensemble"),
    "augmented": ("Training images", "images after augmentation"),
    "roc": ("Verification ROC", "the true accept rate over the false accept rate"),
    "scores": ("Scores of pairs", "histograms for pairs of the same person and of two people"),
    "pairs": ("Hardest wrong answers", "pairs of faces"),
    "aligned": ("Worst utterances", "true above predicted phonemes, with errors marked"),
    "length": ("Errors by length", "each utterance's error rate over its length in seconds"),
}
LABELS = {
    "auc": "area under the ROC",
    "distance": "edit distance",
    "eer": "equal error rate",
    "greedy": "edit distance without beam search",
    "num": "items",
    "per": "phoneme error rate",
    "per_class": "recall",
    "sha256": "SHA-256",
    "zeroed": "share of utterances with too few frames for their phonemes",
}
WIDE = 1000  # pixels from which a picture has its own row
REDRAWN = {"curves"}  # pictures that are drawn as charts instead


def fill(template: str, **values: Any) -> str:
    """Fill in a template of this folder. Equal values give equal bytes."""
    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters |= {"duration": duration, "unbroken": lambda text: text.replace(" %", "\N{NO-BREAK SPACE}%")}
    jinja.globals |= {"shown": shown, "label": label}
    return jinja.get_template(template).render(vega=vega.script(), **values)


def render(runs: Sequence[Results], environment: Mapping[str, str], live: bool = False) -> str:
    """Return the page's HTML. live: it follows the server that it came from (reporting/live.py)."""
    sections = [
        {
            "results": results,
            "headline": headline(results),
            "sparkline": sparkline(results),
            "metrics": flatten(results.evaluation["dev"]) if results.evaluation else {},
            "charts": [
                (metric, list(splits), rows(splits), charts.curve(results.name, metric, splits))
                for metric, splits in results.curves.items()
            ],
            "pictures": pictures(results.pictures),
            "utterances": utterances(results),
            "grids": [
                (rows, charts.comparison(results.name, rows) if sum(row.score is not None for row in rows) > 1 else None)
                for rows in results.grids.values()
            ],
            "settings": settings(results),
            "facts": flatten(results.submission or {}),
        }
        for results in runs
    ]
    is_sample = [results.source == "sample" for results in runs]
    return fill(
        "page.html",
        sections=sections,
        environment=environment,
        wide=WIDE,
        title="Results on sample data" if all(is_sample) else "Results",
        any_real=not all(is_sample),
        live=live,
    )


def headline(results: Results) -> str:
    if results.score:
        return f"{label(results.score.name)} {shown(results.score.name, results.score.value)}"
    return "no score, as dev was trained on" if results.evaluation else "not evaluated yet"


def sparkline(results: Results) -> str:
    """Return the sparkline of the dev score over the epochs."""
    return charts.sparkline(results.curves[results.score.name]["dev"]) if results.score and results.curves else ""


def label(name: str) -> str:
    """Return a metric's readable name: verification.eer is "verification: equal error rate"."""
    block, _, key = name.rpartition(".")
    words = LABELS.get(key, key.replace("_", " "))
    return f"{LABELS.get(block, block)}: {words}" if block else words


def shown(name: str, value: Any) -> str:
    """Format a metric, with shares in per cent. The last part of a dotted name decides."""
    key = name.rpartition(".")[2]
    if isinstance(value, float):
        share = key in SHARES or key.startswith(("tar_at_", "tpr_at_")) or ".per_class." in f".{name}"
        return f"{100 * value:.2f}\N{NO-BREAK SPACE}%" if share else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def duration(seconds: float) -> str:
    """Format a duration in its two largest units: 1 h 5 min, 3 min 20 s; below a minute 5.0 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def pictures(files: Sequence[Path]) -> list[tuple[str, str, charts.Picture]]:
    """Return heading, alternative text and picture of each file; narrow ones first, as they share rows."""
    found = [
        (*PICTURES.get(file.stem, (file.stem.capitalize(), "a picture")), charts.embed(file))
        for file in files
        if file.stem not in REDRAWN
    ]
    return sorted(found, key=lambda each: each[2].width > WIDE)


def rows(splits: Mapping[str, Curve]) -> list[list[float | None]]:
    """Return the curves as a table: epoch, and each split's value."""
    columns = [dict(points) for points in splits.values()]
    epochs = sorted({epoch for column in columns for epoch in column})
    return [[epoch, *[column.get(epoch) for column in columns]] for epoch in epochs]


def flatten(block: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    found: dict[str, Any] = {}
    for key, value in block.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def utterances(results: Results) -> list[tuple[str, str, str]]:
    """Return title, sound and text of each aligned utterance that has a recording."""
    if results.aligned is None or not results.audio:
        return []
    _, *blocks = results.aligned.split("\n\n")
    return [
        (block.strip().partition("\n")[0], charts.sound(file), block.strip("\n"))
        for block, file in zip(blocks, results.audio, strict=False)
    ]


def settings(results: Results) -> str:
    """Return the run's resolved parameters as YAML, without the sample block."""
    block = {key: value for key, value in dataclasses.asdict(results.run).items() if key != "sample"}
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(block, text)
    return text.getvalue()
