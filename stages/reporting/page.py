"""The page: one HTML file that holds its styles, its scripts and its pictures, and asks the network for nothing."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from ruamel.yaml import YAML

from stages.reporting import charts, vega
from stages.reporting.collect import Curve, Results, Score

SHARES = {"accuracy", "per", "eer", "pixel_match", "substitutions", "insertions", "deletions"}  # shown in per cent
# What a picture shows, by its file's name: a heading, and what follows the heading in its alternative text. Others are shown
# under their file's name.
PICTURES = {
    "lr": ("Learning rate", "the loss at each rate of a range test, or the rate over the training where none was made"),
    "confusion": ("Confusion matrix", "how often each true class, in rows, was taken for each class, in columns"),
    "confused": ("Most confused", "bars for the most frequent pairs of true and predicted"),
    "misclassified": ("Surest mistakes", "images with the true and the predicted class and the probability"),
    "disagreements": ("Disagreements", "images with the true class and what each member of the ensemble took it for"),
    "augmented": ("Training images", "images as the network sees them, after augmentation"),
    "roc": ("Verification ROC", "the rate of true matches against that of false ones"),
    "scores": ("Scores of pairs", "histograms for pairs of the same person and of two"),
    "pairs": ("Hardest wrong answers", "faces, two by two"),
    "aligned": ("Worst utterances", "what was said above what was heard, errors marked"),
    "length": ("Errors against length", "each utterance's error rate against its seconds"),
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
WIDE = 1000  # pixels, from which on a picture has a row of its own
DRAWN_ANEW = {"curves"}  # as curves that can be zoomed


def fill(template: str, **values: Any) -> str:
    """A template of this folder with these values. Equal values give equal bytes."""
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
    """The page's text. live: it follows the server that it came from (reporting/live.py)."""
    sections = [
        {
            "results": results,
            "headline": headline(results.score),
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
    drawn = [results.source == "sample" for results in runs]
    return fill(
        "page.html",
        sections=sections,
        environment=environment,
        wide=WIDE,
        title="Results on sample data" if all(drawn) else "Results",
        any_real=not all(drawn),
        live=live,
    )


def headline(score: Score | None) -> str:
    return f"{label(score.name)} {shown(score.name, score.value)}" if score else "not evaluated yet"


def sparkline(results: Results) -> str:
    """Of the score on dev, epoch by epoch."""
    return charts.sparkline(results.curves[results.score.name]["dev"]) if results.score and results.curves else ""


def label(name: str) -> str:
    """A metric's name for people: verification.eer is "verification: equal error rate"."""
    block, _, key = name.rpartition(".")
    words = LABELS.get(key, key.replace("_", " "))
    return f"{LABELS.get(block, block)}: {words}" if block else words


def shown(name: str, value: Any) -> str:
    """A metric as people write it: shares in per cent, the last part of a dotted name deciding."""
    key = name.rpartition(".")[2]
    if isinstance(value, float):
        share = key in SHARES or key.startswith(("tar_at_", "tpr_at_")) or ".per_class." in f".{name}"
        return f"{100 * value:.2f}\N{NO-BREAK SPACE}%" if share else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def duration(seconds: float) -> str:
    """The two largest units: 1 h 5 min, 3 min 20 s; below a minute with a decimal."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def pictures(files: Sequence[Path]) -> list[tuple[str, str, charts.Picture]]:
    """Heading, what is to be seen, and the picture; narrow ones first, which stand side by side."""
    found = [
        (*PICTURES.get(file.stem, (file.stem.capitalize(), "a picture")), charts.embed(file))
        for file in files
        if file.stem not in DRAWN_ANEW
    ]
    return sorted(found, key=lambda item: item[2].width > WIDE)


def rows(splits: Mapping[str, Curve]) -> list[list[float | None]]:
    """The curves as a table: epoch, and each split's value."""
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
    """What the aligned utterances can be heard of: title, sound and text of each; nothing where there are no recordings."""
    if results.aligned is None or not results.audio:
        return []
    _, *blocks = results.aligned.split("\n\n")
    return [
        (block.strip().partition("\n")[0], charts.sound(file), block.strip("\n"))
        for block, file in zip(blocks, results.audio, strict=False)
    ]


def settings(results: Results) -> str:
    """The run's resolved parameters as YAML, without the block that went into resolving them."""
    block = {key: value for key, value in dataclasses.asdict(results.run).items() if key != "sample"}
    text = io.StringIO()
    yaml = YAML()
    yaml.width = 100
    yaml.dump(block, text)
    return text.getvalue()
