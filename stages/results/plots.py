"""Plots that several stages draw, in Petroff's colour-blind-safe cycle (arXiv:2107.02270)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from stages.core import paths

MAX_NAMED = 60  # classes of a confusion matrix that are all named, with counts

matplotlib.rcParams.update(
    {
        "font.size": 11,
        "axes.grid": True,
        "grid.alpha": 0.3,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=["#3f90da", "#bd1f01", "#94a4a2", "#832db6", "#a96b59"]),
    }
)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without date and version, so that equal figures give equal bytes."""
    with paths.output(path) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def curves(path: Path, run: str, history: list[dict[str, float]], score: str) -> None:
    """Plot loss, score and learning rate over the epochs, with training and dev in the same panel."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    figure.suptitle(f"{run}: training curves")
    epochs = [row["epoch"] for row in history]
    marker = "o" if len(epochs) < 30 else None
    names = [name for name in ("loss", score, "lr") if {name, f"train/{name}", f"dev/{name}"} & history[0].keys()]
    for axes, name in zip(figure.subplots(1, len(names)), names, strict=True):
        for key in (f"train/{name}", f"dev/{name}") if name != "lr" else ("lr",):
            if key in history[0]:
                axes.plot(epochs, [row[key] for row in history], marker=marker, markersize=4, label=key.split("/")[0])
        axes.set(xlabel="epoch", ylabel="learning rate" if name == "lr" else name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        if name != "lr":
            axes.legend()
    save(figure, path)


def range_test(
    path: Path,
    run: str,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    suggested: float,
    decided: str,
    span: tuple[float, float],
) -> None:
    """Plot the losses of a learning-rate range test. decided: what decided `suggested`. span: the searched rates."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="#94a4a2", alpha=0.6, linewidth=1, label="loss of each step")
    axes.plot(rates, smoothed, color="#3f90da", linewidth=2, label="smoothed")
    axes.axvspan(*span, color="#bd1f01", alpha=0.08, label=f"searched from {span[0]:.1e} to {span[1]:.1e}")
    axes.axvline(suggested, color="#bd1f01", linestyle="--", label=f"suggested: {suggested:.2e}, {decided}")
    lowest, first = min(smoothed), smoothed[0]
    axes.set(xscale="log", xlabel="learning rate", ylabel="loss", title=f"{run}: learning-rate range test")
    axes.set_ylim(lowest - 0.2 * abs(first - lowest), first + 1.5 * abs(first - lowest))
    axes.legend(loc="upper left")
    save(figure, path)


def fixed_lr(path: Path, run: str, lr: float, source: str, factors: Sequence[float]) -> None:
    """Plot a fixed learning rate over training. factors: of the rate, over all steps."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.linspace(0, 100, len(factors)), np.array(factors) * lr, linewidth=2)
    axes.axhline(lr, color="#bd1f01", linestyle="--", label=f"{lr:.2e}, from {source}")
    axes.set(xlabel="training, %", ylabel="learning rate", title=f"{run}: learning rate (no range test)")
    axes.set_ylim(0, lr * 1.15)
    axes.legend(loc="lower center")
    save(figure, path)


def confusion(path: Path, run: str, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Draw a confusion matrix (K, K) of counts: rows are true classes, columns predictions."""
    share = matrix / matrix.sum(1, keepdims=True).clip(1)
    wide = max(9, 0.35 * min(len(names), MAX_NAMED))  # inches
    figure = Figure(figsize=(wide, wide - 1), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        if count and len(names) <= MAX_NAMED:
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour, fontsize=10)
    ticks = range(len(names))[:: -(-len(names) // MAX_NAMED)]
    axes.set_xticks(ticks, [names[tick] for tick in ticks], rotation=45, ha="right")
    axes.set_yticks(ticks, [names[tick] for tick in ticks])
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    axes.set(xlabel="predicted", ylabel="true", title=f"{run}: confusion on dev ({accuracy:.2%} of {matrix.sum():,} right)")
    axes.grid(False)
    figure.colorbar(image, label="share of the true class", shrink=0.8)
    save(figure, path)


def image_sheet(path: Path, title: str, images: Sequence[np.ndarray], captions: Sequence[str]) -> None:
    """Draw square images (H, H, 3) uint8 in rows, below captions whose width decides the number of columns."""
    lines = [caption.split("\n") for caption in captions]
    side, gap, head = 1.4, 0.15, 0.6  # inches
    wide = gap + max(side, 0.09 * max((len(line) for caption in lines for line in caption), default=0))
    high = gap + side + 0.19 * max(map(len, lines), default=1)
    columns = max(int(12.6 / wide), 1)
    rows = max(-(-len(images) // columns), 1)
    size = columns * wide + gap, rows * high + head
    figure = Figure(figsize=size)
    figure.text(0.5, 1 - 0.3 / size[1], title, ha="center", va="center", fontsize=13)
    axes = figure.add_axes((0, 0, 1, 1))  # one for all images: drawing axes takes ten times as long as drawing an image
    axes.axis("off")
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = gap / 2 + (column + 0.5) * wide, size[1] - head - (row + 1) * high + gap
        axes.imshow(image, extent=(x - side / 2, x + side / 2, y, y + side), interpolation="nearest")
        axes.text(x, y + side + 0.07, caption, ha="center", va="baseline", fontsize=10, linespacing=1.2)
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    save(figure, path)
