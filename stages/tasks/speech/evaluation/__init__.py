"""Evaluation on speech: distances with beam search and greedy decoding, kinds of errors, predictions and plots."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.progress import track
from stages.data.packed import Ragged, read_texts
from stages.data.tables import write_table
from stages.results import members
from stages.sequences.evaluation.alignment import align, edits
from stages.tasks.speech import NUM_CLASSES, training
from stages.tasks.speech.evaluation import aligned, audio, charts
from stages.tasks.speech.training import decode

FRAMES_PER_SECOND = 100
CHUNK = 1_000_000  # frames of emissions per beam search: 164 MB

HEADLINES = ("distance", "per")


def evaluate(
    model: nn.Module,
    name: str,
    run: Run,
    features: Path,
    compute: Compute,
    seed: int,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Return the dev metrics; write predictions for dev and test as CSV, aligned utterances, plots and audio.

    After a `final` training, which includes dev, there are no metrics, and only the test split is predicted.
    name: the run's, for titles. Distances are means over utterances; rates are per symbol of the true strings.
    """
    if (features / "test").is_dir() and read_texts(features / "test" / "names"):
        test = predict(model, features, "test", run, compute, predictions_to)
        write_test(test, predictions_to)
    if run.train.final:
        return {}
    dev = predict(model, features, "dev", run, compute, predictions_to)
    return report(name, features, dev, plots_to=plots_to, predictions_to=predictions_to)


def write_test(test: "Predictions", predictions_to: Path) -> None:
    """Write the predictions of the test split as CSV."""
    write_table(predictions_to / "test.csv", ["name", "predicted"], zip(test.names, test.predicted, strict=True))


def report(name: str, features: Path, dev: "Predictions", *, plots_to: Path, predictions_to: Path) -> dict[str, Any]:
    """Return the dev metrics; write the dev predictions as CSV, plots and audio."""
    distances = decode.distances(dev.predicted, dev.true)
    columns = {"name": dev.names, "predicted": dev.predicted, "label": dev.true, "distance": distances}
    write_table(predictions_to / "dev.csv", list(columns), zip(*columns.values(), strict=True))

    alignments = [align(*pair) for pair in zip(dev.true, dev.predicted, strict=True)]
    utterances = [aligned.Utterance(*item) for item in zip(dev.names, alignments, strict=True)]
    chosen = aligned.worst_and_median(utterances)
    aligned.write(predictions_to / "aligned.txt", name, chosen)
    aligned.draw(plots_to / "aligned.png", name, chosen)
    worst = [utterance.name for utterance in chosen["worst"]]
    audio.write(predictions_to / "audio", features / "dev" / "audio", dev.names, worst)
    charts.confused(plots_to / "confused.png", name, alignments)
    num_symbols = np.array([len(text) for text in dev.true])
    seconds = np.array(dev.num_frames) / FRAMES_PER_SECOND
    charts.by_length(plots_to / "length.png", name, seconds, np.array(distances), num_symbols)

    counts, total = edits(alignments), max(int(num_symbols.sum()), 1)
    return {
        "distance": float(np.mean(distances)),
        "greedy": float(np.mean(decode.distances(dev.greedy, dev.true))),
        "per": sum(distances) / total,
        "substitutions": counts["S"] / total,
        "insertions": counts["I"] / total,
        "deletions": counts["D"] / total,
        "num": len(dev.names),
    }


class Predictions(NamedTuple):
    """The N utterances of a split in its own order. true: empty strings if there are no transcripts."""

    names: list[str]
    predicted: list[str]  # by beam search
    greedy: list[str]
    true: list[str]
    num_frames: list[int]  # of the features


@torch.no_grad()
def predict(model: nn.Module, features: Path, split: str, run: Run, compute: Compute, predictions_to: Path) -> Predictions:
    """Recognise every utterance of a split, in chunks, as all emissions together would fill gigabytes.

    predictions_to: a folder for the emissions as float16, <split>.npy and <split>_offsets.npy, for ensembles.
    """
    model.eval()
    batches = training.eval_batches(features, split, run, compute)
    found: dict[int, tuple[str, str, int]] = {}
    predicted: dict[int, str] = {}
    pending: dict[int, np.ndarray] = {}
    kept: dict[int, np.ndarray] = {}
    frames = 0

    def search() -> None:
        texts = decode.beam_search([*pending.values()], run.evaluate.beam, run.evaluate.cut, None)
        predicted.update(zip(pending, texts, strict=True))
        pending.clear()

    for batch in track(batches.epoch(0), "evaluating", len(batches)):
        with compute.autocast():
            output = training.forward(model, batch)
        padded = output.log_probs.cpu().numpy()
        indices = batch.indices.tolist()
        pending |= {index: row[:end] for index, row, end in zip(indices, padded, output.lengths.tolist(), strict=True)}
        frames += int(output.lengths.sum())
        if members.fits(frames, NUM_CLASSES):
            kept |= {index: pending[index].astype(np.float16) for index in indices}
        if sum(map(len, pending.values())) > CHUNK:
            search()
        greedy = decode.greedy(output.log_probs, output.lengths)
        true = decode.texts(batch.targets, batch.target_lengths)
        found |= zip(indices, zip(greedy, true, batch.lengths.tolist(), strict=True), strict=True)
    search()
    if len(kept) == len(found):
        with Ragged(predictions_to / split, (NUM_CLASSES,), np.float16) as writer:
            for index in range(len(batches.names)):
                writer.append(kept[index])
    order = range(len(batches.names))
    return Predictions(
        names=list(batches.names),
        predicted=[predicted[index] for index in order],
        greedy=[found[index][0] for index in order],
        true=[found[index][1] for index in order],
        num_frames=[found[index][2] for index in order],
    )
