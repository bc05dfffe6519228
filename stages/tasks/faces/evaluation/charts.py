"""Plots of errors on faces: ROC curve, scores of pairs, pairs of faces, the most confused identities."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from stages.results.plots import save
from stages.tasks.faces.evaluation import verification

BLUE, RED, GREY = "#3f90da", "#bd1f01", "#94a4a2"
NUM_CONFUSED = 20
COLUMNS = 4  # pairs in a row
SIDE = 1.45  # inches of an image in a pair


def of_pairs(folder: Path, run: str, pairs: verification.Pairs, threshold: float) -> None:
    """Draw scores.png and, if there are pairs of both kinds, roc.png."""
    if pairs.genuine.any() and pairs.impostor.any():
        far, tar = verification.roc(pairs)
        eer, auc = verification.equal_error_rate(far, tar), verification.roc_auc(far, tar)
        roc(folder / "roc.png", run, far.numpy(), tar.numpy(), eer, auc)
    genuine, impostor = pairs.bins.numpy()
    score_histogram(folder / "scores.png", run, genuine, impostor, threshold)


def roc(path: Path, run: str, far: np.ndarray, tar: np.ndarray, eer: float, auc: float) -> None:
    """Draw the true over the false accept rate, (T,) each from (0, 0) to (1, 1), and mark the equal error rate."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    axes = figure.subplots()
    left = far[far > 0].min() / 2  # stands for 0 on the logarithmic axis
    between = 2000 // len(far) + 1  # a tie is a slanted line, which is a curve on this axis
    positions = np.linspace(0, len(far) - 1, (len(far) - 1) * between + 1)
    x, y = (np.interp(positions, np.arange(len(far)), rate) for rate in (far, tar))
    start = int((x > left).argmax()) - 1
    axes.plot(x[start:].clip(left), y[start:], color=BLUE, linewidth=2, label=f"ROC, area {auc:.4f}", clip_on=False)
    chance = np.geomspace(left, 1, 100)
    axes.plot(chance, chance, color=GREY, linestyle=":", linewidth=2, label="chance")
    label = f"equal error rate {eer:.2%}"
    axes.plot(max(eer, left), 1 - eer, "o", color=RED, markersize=8, label=label, clip_on=False, zorder=3)
    axes.set(xscale="log", xlim=(left, 1), ylim=(0, 1), title=f"{run}: verification of dev pairs")
    axes.set(xlabel="false accept rate (impostor pairs accepted)", ylabel="true accept rate (genuine pairs accepted)")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(loc="lower right" if auc > 0.5 else "upper left")
    save(figure, path)


def score_histogram(path: Path, run: str, genuine: np.ndarray, impostor: np.ndarray, threshold: float) -> None:
    """Draw the distributions of the genuine and impostor scores, and mark the threshold.

    genuine, impostor: counts in equal bins from -1 to 1.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for counts, colour, name in ((impostor, GREY, "different people"), (genuine, BLUE, "one person")):
        total = int(counts.sum())
        label = f"pairs of {name}: {total:,}"
        if total:
            first, last = np.flatnonzero(counts)[[0, -1]]
            width = max(round((last - first + 1) / float(np.clip(total**0.5, 5, 60))), 1)  # bins in a bar
            begins = np.arange(first, last + 1, width)
            edges = np.append(begins, begins[-1] + width) * 2 / len(counts) - 1
            heights = np.add.reduceat(counts, begins) / total / np.diff(edges)
            axes.stairs(heights, edges, fill=True, color=colour, alpha=0.55, label=label)
        else:
            axes.fill_between([], [], color=colour, alpha=0.55, label=label)
    axes.axvline(threshold, color=RED, linestyle="--", label=f"threshold {threshold:.3f}")
    axes.set(xlabel="cosine similarity", ylabel="density (each kind has area 1)", title=f"{run}: scores of dev pairs")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)


def pairs(path: Path, title: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]], captions: Sequence[str]) -> None:
    """Draw pairs of images (H, W, 3) uint8, each below a caption of one or two lines."""
    columns = min(max(len(pairs), 1), COLUMNS)
    rows = -(-len(pairs) // columns)
    wide, gap, high, head = 2 * SIDE + 0.04, 0.4, SIDE + 0.6, 0.6  # inches
    size = max(columns * (wide + gap) + gap, 8), max(rows * high, 0.9) + head
    left = (size[0] - columns * (wide + gap) + gap) / 2
    figure = Figure(figsize=size)
    figure.text(0.5, 1 - 0.3 / size[1], title, ha="center", va="center", fontsize=13)
    if not pairs:
        figure.text(0.5, 0.6 / size[1], "there are none", ha="center", va="center", fontsize=12)
    for index, (images, caption) in enumerate(zip(pairs, captions, strict=True)):
        row, column = divmod(index, columns)
        x, y = left + column * (wide + gap), size[1] - head - (row + 1) * high + 0.1
        for image, shift, anchor in zip(images, (0, SIDE + 0.04), ("E", "W"), strict=True):
            box = ((x + shift) / size[0], y / size[1], SIDE / size[0], SIDE / size[1])
            axes = figure.add_axes(box, anchor=anchor)
            axes.imshow(image, interpolation="nearest")
            axes.axis("off")
        middle = (x + wide / 2) / size[0], (y + SIDE + 0.06) / size[1]
        figure.text(*middle, caption, ha="center", va="bottom", fontsize=10, linespacing=1.2)
    save(figure, path)


def confused(path: Path, run: str, counts: Sequence[tuple[str, str, int]]) -> None:
    """Draw the most frequent mistakes. counts: (true identity, predicted identity, count), in any order."""
    shown = sorted(counts, key=lambda mistake: (-mistake[2], mistake))[:NUM_CONFUSED]
    rows = max(len(shown), 3)
    figure = Figure(figsize=(8, 1.5 + 0.3 * rows), layout="constrained")
    figure.suptitle(f"{run}: the identities most confused on dev")
    axes = figure.subplots()
    bars = axes.barh(range(len(shown)), [count for *_, count in shown], color=BLUE)
    axes.bar_label(bars, padding=4)
    axes.set_yticks(range(len(shown)), [f"{true} → {predicted}" for true, predicted, _ in shown])
    axes.set(xlabel="mistakes", ylabel="true → predicted", ylim=(rows - 0.4, -0.6))
    axes.margins(x=0.1)
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if shown:
        total, num_shown = (sum(count for *_, count in mistakes) for mistakes in (counts, shown))
        axes.set_xlabel(f"mistakes (shown: {num_shown:,} of {total:,})")
    else:
        axes.set_xticks([])
        axes.text(0.5, 0.5, "no mistakes", ha="center", va="center", fontsize=13, transform=axes.transAxes)
    save(figure, path)
