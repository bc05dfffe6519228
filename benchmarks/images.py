"""Faces from JPEG at 224x224 to normalised batches: ours against torchvision's ImageFolder in a DataLoader.

    python -m benchmarks.images

Both sides decode, flip, rotate by up to 12 degrees, turn a tenth gray, jitter brightness, contrast and saturation by 0.2,
erase a tenth of the area of half of the images, and normalise. Ours: packed bytes, OpenCV, albumentations. The usual way: a
file an image, Pillow, torchvision.transforms. In this process (no workers), on one thread, in turn. The images are smooth
noise at JPEG quality 90, about 20 kB each.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.compare import Result, compare
from stages.config.schema import ColorJitter, Erasing, Flip, Grayscale, ShiftScaleRotate
from stages.data.packed import Ragged
from stages.images.storage import EncodedImages
from stages.images.training.batches import WorkerBatches
from stages.tasks.faces.settings import Augment

NUM, SIDE, BATCH = 512, 224, 64
MEAN, STD = [130.0, 103.0, 90.0], [78.0, 69.0, 66.0]
AUGMENT = Augment(
    crop=None,
    flip=Flip(0.5),
    shift_scale_rotate=ShiftScaleRotate(shift=0.0, scale=0.0, rotate=12, p=1.0),
    grayscale=Grayscale(0.1),
    color_jitter=ColorJitter(0.2, 0.2, 0.2),
    erasing=Erasing(area=0.1, p=0.5),
    mix=None,
)


def write_images(folder: Path) -> None:
    """The same images packed, below packed/, and as files, below files/."""
    random = np.random.default_rng(0)
    (folder / "files" / "n000001").mkdir(parents=True)
    with Ragged(folder / "packed" / "images", (), np.uint8) as packed:
        for number in range(NUM):
            image = cv2.resize(random.normal(128, 60, (28, 28, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            image = (image + random.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
            content = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            packed.append(content)
            (folder / "files" / "n000001" / f"{number:04d}_01.jpg").write_bytes(content.tobytes())


def measure() -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        write_images(Path(name))
        batches = WorkerBatches(
            EncodedImages(Path(name) / "packed" / "images", SIDE),
            np.zeros(NUM, np.int64),
            [""] * NUM,
            batch_size=BATCH,
            device=torch.device("cpu"),
            mean=MEAN,
            std=STD,
            seed=0,
            augment=AUGMENT,
        )
        steps = transforms.Compose(
            [
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(12, transforms.InterpolationMode.BILINEAR),
                transforms.RandomGrayscale(0.1),
                transforms.ColorJitter(0.2, 0.2, 0.2),
                transforms.ToTensor(),
                transforms.Normalize([value / 255 for value in MEAN], [value / 255 for value in STD]),
                transforms.RandomErasing(0.5, (0.1, 0.1)),
            ]
        )
        loader = DataLoader(ImageFolder(str(Path(name) / "files"), steps), BATCH, shuffle=True)

        def ours(number: int) -> int:
            shapes = [batch.inputs.shape for batch in batches.epoch(number)]
            assert set(shapes) == {(BATCH, 3, SIDE, SIDE)}
            return sum(shape[0] for shape in shapes)

        def usual(number: int) -> int:
            shapes = [images.shape for images, _ in loader]
            assert set(shapes) == {(BATCH, 3, SIDE, SIDE)}
            return sum(shape[0] for shape in shapes)

        claim = f"faces from JPEG at {SIDE}x{SIDE} to normalised batches"
        return [compare(claim, "images", ours, usual, "torchvision's ImageFolder in a DataLoader", 2)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    measure()
