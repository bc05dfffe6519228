"""Speech in full: the distance with beam search and greedily, the kinds of error, predictions, and the errors to look at."""

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
AT_ONCE = 1_000_000  # frames of emissions that wait for beam search together: 164 MB

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
    """Metrics of the dev split; predictions of dev and test as CSV, aligned utterances as text, pictures as PNG, and audio.

    Where training was `final`, dev was learnt from: there are no metrics, and only the test split is predicted.
    name: the run's, for titles. Distances are means over utterances; the rates are per symbol of the true strings.
    """
    if (features / "test").is_dir() and read_texts(features / "test" / "names"):
        test = predict(model, features, "test", run, compute, beam=run.evaluate.test_beam, keep=predictions_to)
        write_test(test, predictions_to)
    if run.train.final:
        return {}
    dev = predict(model, features, "dev", run, compute, beam=run.evaluate.dev_beam, keep=predictions_to)
    return report(name, features, dev, plots_to=plots_to, predictions_to=predictions_to)


def write_test(test: "Predictions", predictions_to: Path) -> None:
    """The predictions of the test split as CSV."""
    write_table(predictions_to / "test.csv", ["name", "predicted"], zip(test.names, test.predicted, strict=True))


def report(name: str, features: Path, dev: "Predictions", *, plots_to: Path, predictions_to: Path) -> dict[str, Any]:
    """The metrics of dev, its predictions as CSV, pictures and audio."""
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
    """A split's N utterances in its own order. true: empty strings where the split has no transcripts."""

    names: list[str]
    predicted: list[str]  # by beam search
    greedy: list[str]
    true: list[str]
    num_frames: list[int]  # of the features


@torch.no_grad()
def predict(
    model: nn.Module, features: Path, split: str, run: Run, compute: Compute, *, beam: int, keep: Path
) -> Predictions:
    """Every utterance of a split, decoded as its emissions come, which together would fill gigabytes.

    keep: the folder of <split>.npy and <split>_offsets.npy, the emissions as float16, for ensembles.
    """
    model.eval()
    batches = training.eval_batches(features, split, run, compute)
    found: dict[int, tuple[str, str, int]] = {}
    predicted: dict[int, str] = {}
    waiting: dict[int, np.ndarray] = {}
    kept: dict[int, np.ndarray] = {}
    frames = 0

    def search() -> None:
        predicted.update(zip(waiting, decode.beam_search([*waiting.values()], beam, run.evaluate.cut, None), strict=True))
        waiting.clear()

    for batch in track(batches.epoch(0), "evaluating", len(batches)):
        with compute.autocast():
            output = training.forward(model, batch)
        padded = output.log_probs.cpu().numpy()
        indices = batch.indices.tolist()
        waiting |= {index: item[:end] for index, item, end in zip(indices, padded, output.lengths.tolist(), strict=True)}
        frames += int(output.lengths.sum())
        if members.fits(frames, NUM_CLASSES):
            kept |= {index: waiting[index].astype(np.float16) for index in indices}
        if sum(map(len, waiting.values())) > AT_ONCE:
            search()
        greedy = decode.greedy(output.log_probs, output.lengths)
        true = decode.texts(batch.targets, batch.target_lengths)
        found |= zip(indices, zip(greedy, true, batch.lengths.tolist(), strict=True), strict=True)
    search()
    if len(kept) == len(found):
        with Ragged(keep / split, (NUM_CLASSES,), np.float16) as writer:
            for index in range(len(batches.names)):
                writer.append(kept[index])
    ordered = [found[index] for index in range(len(batches.names))]
    return Predictions(
        names=list(batches.names),
        predicted=[predicted[index] for index in range(len(ordered))],
        greedy=[item[0] for item in ordered],
        true=[item[1] for item in ordered],
        num_frames=[item[2] for item in ordered],
    )
