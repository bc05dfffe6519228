"""The model card beside an exported network, in Markdown: what it is, how to use it, how good it is, what it came from.

After Mitchell et al. 2019 (arXiv:1810.03993).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.core import checksums, paths
from stages.exporting.onnx_graph import Graph, Trial

MAX_LABELS = 60  # that are listed; all of them are in the ONNX file
NO_SETTINGS = (
    "task",
    "sample",
    "reference",
)  # of a run's block: what training does not depend on, or what is in force already


@dataclass(frozen=True)
class About:
    """What a task has to say of all its networks, in sentences.

    licences: of the data, by the task's source, with `path` for all that have no name of their own.
    """

    title: str  # half a sentence
    result: str  # what the metrics mean
    limits: str
    licences: Mapping[str, str]


@dataclass(frozen=True)
class Card:
    """What a card tells. saved: the checkpoint; evaluate: the evaluation's settings; metrics, timing: None if not there."""

    run: str
    about: About
    network: str  # in a line
    num_parameters: int
    task: str
    source: str | Sequence[str]  # as in params.yaml
    saved: Mapping[str, Any]
    evaluate: Mapping[str, Any]
    metrics: Mapping[str, Any] | None
    timing: Mapping[str, Any] | None
    graph: Graph
    trials: Sequence[Trial]
    weights_sha256: str
    file_sha256: str


def render(card: Card) -> str:
    """The card as Markdown."""
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
        yield "Trained on made-up data: good for trying things out, and for nothing else."
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
        f"{place} {f'`{label}`' if label else 'blank'}" for place, label in enumerate(graph.labels[:MAX_LABELS])
    )
    more = f" and so on, to {len(graph.labels) - 1:,}" if len(graph.labels) > MAX_LABELS else ""
    yield f"Labels: {shown}{more}."
    yield "Compared with PyTorch on random inputs; the largest difference, relative where a value exceeds 1:"
    trials = [(", ".join(map(str, trial.shapes)), f"{trial.difference:.2g}") for trial in card.trials]
    yield _table(("input shapes", "difference"), trials)


def _result(card: Card) -> Iterator[str]:
    if not card.metrics:  # or a training that learnt from dev as well
        yield "Not evaluated."
        return
    settings = ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in card.evaluate.items())
    yield f"On the dev split, evaluated with {settings}. {card.about.result}"
    yield "By PyTorch in the precision of the run; the graph computes in float32, so a close call may come out otherwise."
    yield _table(("metric", "value"), [(name, _text(value)) for name, value in _flat(card.metrics)])


def _data(card: Card) -> Iterator[str]:
    sources, stats = [card.source] if isinstance(card.source, str) else card.source, card.saved["stats"]
    named = ", ".join(f"`{Path(source).name}`" for source in sources)  # whoever reads the card does not have the folder
    yield f"Task `{card.task}`, source {named}."
    yield _table(("split", "items"), [(split, f"{num:,}") for split, num in stats["num"].items() if num])
    listed = paths.features(card.task) / checksums.LIST
    yield f"SHA-256 of `{listed}`, which lists those of all its files: `{card.saved['data']}`"


def _training(card: Card) -> Iterator[str]:
    saved = card.saved
    kind = card.evaluate["weights"]
    whose = f"their average `{kind}` after" if kind in ("ema", "mean") else "those of"
    yield f"The weights are {whose} epoch {saved['epoch']} of {len(saved['history'])}."
    if card.timing is not None:
        yield _table(("environment", ""), [(name, _text(value)) for name, value in card.timing.items()])
    settings = {"lr": saved["lr"], "seed": saved["seed"]} | {
        key: saved["run"][key] for key in saved["run"] if key != "sample"
    }
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
