"""Plots of a network's answers: phonemes along the sound, and a score with its threshold."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from stages.results import plots  # noqa: F401 - its colours and fonts
from stages.tasks.faces.prediction import SamePerson
from stages.tasks.speech.prediction import Phoneme
from stages.tasks.speech.raw.audio import RATE

SECONDS = 2  # the most in a row; a phoneme takes about 0.1 s
NUM_ROWS = 30


def sound(wave: np.ndarray, phonemes: Sequence[Phoneme]) -> Figure:
    """Plot a waveform (samples,) at 16 kHz in equal rows, with the phonemes at their times; at most the first minute."""
    num_samples = min(len(wave), SECONDS * NUM_ROWS * RATE)
    rows = -(-num_samples // (SECONDS * RATE))
    figure = Figure(figsize=(8, 1.7 * rows + 0.4), layout="constrained")
    height, length = np.abs(wave).max(initial=1e-9), num_samples / RATE / rows
    times = np.arange(num_samples) / RATE
    for row, axes in enumerate(figure.subplots(rows, 1, squeeze=False)[:, 0]):
        axes.plot(times, wave[:num_samples], linewidth=0.5, color="#94a4a2")
        axes.set(xlim=(row * length, (row + 1) * length), ylim=(-height, 2.6 * height), yticks=[])
        axes.spines["left"].set_visible(False)
        axes.grid(False)
        in_row = [phoneme for phoneme in phonemes if row * length <= phoneme.time < (row + 1) * length]
        for index, phoneme in enumerate(in_row):
            axes.vlines(phoneme.time, -height, height, color="#bd1f01", linewidth=0.8)
            text = f"{phoneme.arpabet.strip('[]')}\n{phoneme.time:.2f}"
            axes.text(phoneme.time, height * (1.1, 1.85)[index % 2], text, fontsize=9)
    cut = f", the first {num_samples // RATE} of {len(wave) // RATE}" if num_samples < len(wave) else ""
    axes.set_xlabel(f"seconds{cut}")
    return figure


def score(answer: SamePerson) -> Figure:
    """Plot the score of two faces, from -1 to 1, and the threshold."""
    figure = Figure(figsize=(6, 1.4), layout="constrained")
    axes = figure.subplots()
    axes.barh(0, answer.score, color="#3f90da" if answer.same else "#94a4a2", height=0.6)
    axes.axvline(answer.threshold, color="#bd1f01", linestyle="--", linewidth=2)
    axes.text(answer.threshold, 0.45, f" threshold {answer.threshold:.4f}", color="#bd1f01")
    axes.set(xlim=(-1, 1), ylim=(-0.4, 0.7), yticks=[], xlabel="score: the cosine of the two faces' embeddings")
    axes.spines["left"].set_visible(False)
    return figure
