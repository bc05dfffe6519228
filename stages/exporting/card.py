"""The model card of an exported network, in Markdown, after Mitchell et al. 2019 (arXiv:1810.03993)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import checksums, paths
from stages.data.checkpoint import Checkpoint
from stages.exporting.onnx_graph import Graph, Trial

MAX_LABELS = 60  # listed in the card; all labels are in the ONNX file


@dataclass(frozen=True)
class About:
    """A task's texts for its cards. licences: of the data, by the task's source, with `path` for the user's own."""

    title: str  # a question, without a mark
    result: str  # what the metrics mean
    limits: str
    licences: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """The contents of a card. evaluate: the evaluation's settings; metrics, timing: optional."""

    run: str
    about: About
    network: str  # a line of description
    num_parameters: int
    task: str
    source: str | Sequence[str]  # as in params.yaml
    saved: Checkpoint
    evaluate: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    timing: Mapping[str, Any] | None
    graph: Graph
    trials: Sequence[Trial]
    weights_sha256: str
    file_sha256: str


def render(card: Card) -> str:
    """Return the card as Markdown."""
    licence = card.about.licences.get(card.source if isinstance(card.source, str) else "path", card.about.licences["path"])
    sections = {
        f"{card.run}: {card.about.title}": _head(card),
        "Use": _use(card),
        "Result": _result(card),
        "Training data": _data(card),
        "Training": _training(card),
        "Limits": [card.about.limits],
        "Licence": [f"Code and graph: MIT. Data: {licence}"],
    }
    return "\n\n".join("\n\n".join([f"## {title}", *texts]) for title, texts in sections.items())[1:] + "\n"


def _head(card: Card) -> Iterator[str]:
    yield card.network
    if card.source == "sample":
        yield "Trained on made-up data, only for trying things out."
    yield _table(
        ("", ""),
        [
            ("parameters", f"{card.num_parameters:,}"),
            ("format", "ONNX, float32, any batch size"),
            ("SHA-256 of `model.onnx`", f"`{card.file_sha256}`"),
            ("SHA-256 of the weights", f"`{card.weights_sha256}`"),
        ],
    )


def _use(card: Card) -> Iterator[str]:
    graph = card.graph
    for title, ports in (("input", graph.inputs), ("output", graph.outputs)):
        rows = [(f"`{port.name}`", port.dtype, f"({', '.join(map(str, port.shape))})", port.meaning) for port in ports]
        yield _table((title, "type", "shape", ""), rows)
    outputs, inputs = (
        ", ".join(port.name for port in graph.outputs),
        ", ".join(f'"{p.name}": {p.name}' for p in graph.inputs),
    )
    lines = [
        "import json, onnxruntime",
        "",
        'session = onnxruntime.InferenceSession("model.onnx")',
        f"[{outputs}] = session.run(None, {{{inputs}}})",
        'labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])',
    ]
    yield "\n".join(["```python", *lines, "```"])
    shown = ", ".join(
        f"{index} {f'`{label}`' if label else 'blank'}" for index, label in enumerate(graph.labels[:MAX_LABELS])
    )
    more = f" and so on, to {len(graph.labels) - 1:,}" if len(graph.labels) > MAX_LABELS else ""
    yield f"Labels: {shown}{more}."
    yield "The largest differences from PyTorch on random inputs, relative for values above 1:"
    trials = [(", ".join(map(str, trial.shapes)), f"{trial.difference:.2g}") for trial in card.trials]
    yield _table(("input shapes", "difference"), trials)


def _result(card: Card) -> Iterator[str]:
    if not card.metrics:  # also after a `final` training
        yield "Not evaluated."
        return
    settings = ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in card.evaluate.items())
    yield f"On the dev split, evaluated with {settings}. {card.about.result}"
    yield "Measured with PyTorch in the run's precision. The graph computes in float32, so close decisions may differ."
    yield _table(("metric", "value"), [(name, _text(value)) for name, value in _flat(card.metrics)])


def _data(card: Card) -> Iterator[str]:
    sources, stats = [card.source] if isinstance(card.source, str) else card.source, card.saved.stats
    names = ", ".join(f"`{Path(source).name}`" for source in sources)
    yield f"Task `{card.task}`, source {names}."
    yield _table(("split", "items"), [(split, f"{num:,}") for split, num in stats["num"].items() if num])
    yield f"SHA-256 of `{paths.features(card.task) / checksums.LIST}`, the list of all checksums: `{card.saved.data}`"


def _training(card: Card) -> Iterator[str]:
    saved = card.saved
    kind = card.evaluate["weights"]
    which = f"their average `{kind}` after" if kind in ("ema", "mean") else "those of"
    yield f"The weights are {which} epoch {saved.epoch} of {len(saved.history)}."
    if card.timing is not None:
        yield _table(("environment", ""), [(name, _text(value)) for name, value in card.timing.items()])
    settings = {"lr": saved.lr, "seed": saved.seed} | {key: value for key, value in saved.run.items() if key != "sample"}
    rows = [(f"`{name}`", f"`{json.dumps(value)}`") for name, value in _flat(settings) if value is not None]
    yield _table(("hyperparameter", ""), rows)


def _flat(block: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in block.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
