"""How many images a second a core prepares for resnet50's training with `loading: workers`.

    python -m benchmarks.loading

224 x 224 JPEGs, packed, 20 kB each: decoding and the run's full augmentation by albumentations, as in a worker process,
against cv2.imdecode alone. One thread.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.compare import Result, compare
from benchmarks.gpu.sizes import full_params
from benchmarks.normalize import SIDE, make_jpegs
from stages.data.packed import Ragged
from stages.images.storage import EncodedImages
from stages.images.training.batches import AugmentedImages

IMAGES, BATCH = 1024, 128


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        return [_measure(Path(name) / "images")]


def _measure(stem: Path) -> Result:
    contents = [np.frombuffer(content, np.uint8) for content in make_jpegs(IMAGES)]
    with Ragged(stem, (), np.uint8) as file:
        for content in contents:
            file.append(content)
    augment, labels = full_params().run("resnet50").augment, np.zeros(IMAGES, np.int64)
    data = AugmentedImages(EncodedImages(stem, SIDE), labels, np.full(3, 128.0), 0, augment)
    batches = list(enumerate(torch.arange(IMAGES).split(BATCH)))

    def ours(epoch: int) -> int:
        for number, indices in batches:
            data[epoch, number, indices]
        return IMAGES

    def opencv(_: int) -> int:
        for content in contents:
            cv2.imdecode(content, cv2.IMREAD_COLOR_RGB)
        return IMAGES

    return compare("loading: workers, resnet50 at 224 pixels", "images", ours, opencv, "cv2.imdecode alone")


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    measure()
