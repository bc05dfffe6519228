"""Plots of errors: the most confused phonemes, and the error rate by an utterance's length."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from stages.results.plots import save
from stages.sequences.evaluation.alignment import Pair, confusions
from stages.tasks.speech import NAMES

NUM_PAIRS = 20
NUM_BINS = 10


def confused(path: Path, run: str, alignments: Sequence[Sequence[Pair]]) -> None:
    """Draw the most frequent substitutions: counts, and shares of the true phoneme's occurrences."""
    found = confusions(alignments)
    shown = found[:NUM_PAIRS]
    occurrences = Counter(pair.true for pairs in alignments for pair in pairs)
    figure = Figure(figsize=(8, 1.4 + 0.3 * max(len(shown), 3)), layout="constrained")
    axes = figure.subplots()
    names = [f"{NAMES[pair.true]} → {NAMES[pair.predicted]}" for pair, _ in shown]
    bars = axes.barh(range(len(shown)), [count for _, count in shown])
    axes.bar_label(
        bars, [f"{count}  ({count / occurrences[pair.true]:.0%} of {NAMES[pair.true]})" for pair, count in shown], padding=4
    )
    axes.set_yticks(range(len(shown)), names)
    axes.invert_yaxis()
    axes.margins(x=0.3, y=0.01)  # room for the bars' labels
    axes.grid(False, axis="y")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share = sum(count for _, count in shown) / max(sum(count for _, count in found), 1)
    axes.set(xlabel="substitutions", ylabel="true → predicted")
    axes.set_title(f"{run}: the most confused pairs on dev ({share:.0%} of all substitutions)")
    save(figure, path)


def by_length(path: Path, run: str, seconds: np.ndarray, distance: np.ndarray, num_symbols: np.ndarray) -> None:
    """Plot each utterance's distance per true symbol over its length, and the rate in each tenth of the lengths.

    seconds, distance, num_symbols: (N,).
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    rates = distance / num_symbols.clip(1)
    axes.scatter(seconds, rates, s=14, alpha=0.6, color="#94a4a2", linewidths=0, label="utterance")
    if len(seconds) >= 3 * NUM_BINS:
        bins = np.array_split(np.argsort(seconds, kind="stable"), NUM_BINS)
        middles = [np.median(seconds[indices]) for indices in bins]
        means = [distance[indices].sum() / max(num_symbols[indices].sum(), 1) for indices in bins]
        axes.plot(middles, means, color="#bd1f01", marker="o", label="error rate of a tenth of the utterances")
    rate = distance.sum() / max(num_symbols.sum(), 1)
    axes.axhline(rate, color="#3f90da", linestyle="--", label=f"of all: {rate:.1%}")
    axes.set(xlabel="length of the utterance, seconds", ylabel="distance per true symbol", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"{run}: errors against length, {len(seconds):,} dev utterances")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    save(figure, path)
