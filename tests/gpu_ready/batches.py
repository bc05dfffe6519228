"""A batch of any run without a data set: as the run's own batches make it, on any device."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.config.schema import Run
from stages.data.packed import Ragged, RaggedArray
from stages.images.training.batches import DeviceBatches
from stages.sequences.training.batches import SequenceBatches

FEATURES, PHONEMES = 27, 4
FRAMES = 40  # of the longest utterance: without cuDNN an LSTM takes a dozen operations a frame


def first_batch(run: Run, stats: Any, folder: Path, device: torch.device, augment: Any) -> Any:
    """Random pixels (with `loading: device`), or utterances of 20 to 40 frames."""
    random, num = np.random.default_rng(0), run.batch_size
    names = [str(item) for item in range(num)]
    settings: dict[str, Any] = dict(batch_size=num, device=device, seed=1, augment=augment)
    if run.inputs == "sequences":
        stems = folder / "inputs", folder / "targets"
        with Ragged(stems[0], (FEATURES,), np.float32) as inputs, Ragged(stems[1], (), np.uint8) as targets:
            for length in random.integers(20, FRAMES + 1, num).tolist():
                inputs.append(random.standard_normal((length, FEATURES), np.float32))
                targets.append(random.integers(1, 41, PHONEMES).astype(np.uint8))
        utterances, transcripts = map(RaggedArray, stems)
        return next(SequenceBatches(utterances, transcripts, names, **settings).epoch(0))
    side, classes = stats.side, len(stats.classes)
    pixels = random.integers(0, 256, (num, side, side, 3), np.uint8)
    settings |= dict(mean=[127.5] * 3, std=[73.9] * 3)
    return next(DeviceBatches(pixels, random.integers(0, classes, num), names, **settings).epoch(0))
