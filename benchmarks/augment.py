"""CIFAR-10 batches, augmented and normalised: batched on tensors against albumentations in a DataLoader.

    python -m benchmarks.augment

The usual way: a Dataset that augments, normalises and turns into a tensor one image at a time, and a DataLoader that stacks
them; in this process, without workers. Both sides draw from the same distribution:
tests/images/training/test_augmentation.py holds it for these very transforms, and here the means
and deviations of what comes out are compared. One thread, in turn.
"""

import os
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.compare import Result, compare
from stages.config.schema import Crop, Cutout, Flip, ShiftScaleRotate
from stages.images.training.batches import DeviceBatches
from stages.tasks import load_params

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

NUM, BATCH, SIDE = 5_000, 512, 32
MEAN, STD = 120.0, 60.0


def usual_transform(augment: Any) -> Any:
    import albumentations as A
    from albumentations.pytorch import ToTensorV2

    transforms: list[Any] = []
    match augment.crop:
        case Crop(padding):
            transforms += [A.Pad(padding, border_mode=cv2.BORDER_REFLECT_101), A.RandomCrop(SIDE, SIDE)]
    match augment.flip:
        case Flip(p):
            transforms.append(A.HorizontalFlip(p=p))
    match augment.shift_scale_rotate:
        case ShiftScaleRotate(shift, scale, rotate, p):
            limits: dict[str, Any] = {"scale": (1 - scale, 1 + scale), "rotate": (-rotate, rotate), "keep_ratio": True}
            limits["translate_percent"] = (-shift, shift)
            transforms.append(A.Affine(border_mode=cv2.BORDER_REFLECT_101, p=p, **limits))
    match augment.cutout:
        case Cutout(size, p):
            hole = {"hole_height_range": (size, size), "hole_width_range": (size, size), "fill": (MEAN,) * 3}
            transforms.append(A.CoarseDropout(num_holes_range=(1, 1), p=p, **hole))
    scaled = {"mean": (MEAN / 255,) * 3, "std": (STD / 255,) * 3}
    return A.Compose([*transforms, A.Normalize(**scaled), ToTensorV2()], strict=True, seed=0)


class UsualImages(Dataset[tuple[Tensor, int]]):
    def __init__(self, pixels: np.ndarray, augment: Any) -> None:
        self.pixels, self.transform = pixels, usual_transform(augment)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(image=self.pixels[index])["image"], 0


def check_same_work(ours: Tensor, usual: Tensor) -> None:
    assert ours.shape == usual.shape == (BATCH, 3, SIDE, SIDE)
    assert ours.dtype == usual.dtype == torch.float32
    for moment in (Tensor.mean, Tensor.std):
        assert abs(moment(ours) - moment(usual)) < 0.03, moment


def measure() -> list[Result]:
    pixels = np.random.default_rng(0).integers(0, 256, (NUM, SIDE, SIDE, 3), np.uint8)
    results = []
    for name, run in load_params().runs.items():
        if run.task != "cifar10":
            continue
        batches = DeviceBatches(
            pixels,
            np.zeros(NUM, np.int64),
            [""] * NUM,
            batch_size=BATCH,
            device=torch.device("cpu"),
            mean=[MEAN] * 3,
            std=[STD] * 3,
            seed=0,
            augment=run.augment,
        )
        loader = DataLoader(UsualImages(pixels, run.augment), BATCH, shuffle=True)
        check_same_work(next(batches.epoch(0)).inputs, next(iter(loader))[0])

        def ours(number: int, batches: DeviceBatches) -> int:
            return sum(len(batch.inputs) for batch in batches.epoch(number))

        def usual(number: int, loader: DataLoader[Any]) -> int:
            return sum(len(images) for images, _ in loader)

        claim = f"CIFAR-10 batches, {name}'s augmentation"
        sides = partial(ours, batches=batches), partial(usual, loader=loader)
        results.append(compare(claim, "images", *sides, "albumentations in a DataLoader", 6))
    return results


if __name__ == "__main__":
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    measure()
