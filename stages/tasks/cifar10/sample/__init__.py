"""Drawn stand-ins for the ten classes, in the layout of Kaggle's competition.

Each class is a silhouette of a few simple shapes. Colour, position, size, angle, light, background, occlusion and noise are
independent of the class, so that a network must learn shapes.
"""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from stages.core import paths
from stages.data.archive import write_member
from stages.tasks.cifar10 import CLASSES, SIDE
from stages.tasks.cifar10.settings import Settings

CANVAS = 96  # silhouettes are drawn at this side and shrunk, which smooths their edges
Points = list[tuple[int, int]]

# Per class: polygons (lists of corners) and ellipses (centre x, y, half-axes), in a square of 96.
POLYGONS: dict[str, list[Points]] = {
    "airplane": [
        [(8, 44), (76, 44), (90, 50), (76, 56), (8, 56)],
        [(40, 46), (26, 10), (38, 10), (58, 46)],
        [(40, 54), (26, 88), (38, 88), (58, 54)],
        [(8, 46), (4, 28), (14, 28), (22, 46)],
    ],
    "automobile": [[(6, 46), (90, 46), (90, 66), (6, 66)], [(22, 46), (34, 28), (64, 28), (76, 46)]],
    "bird": [[(40, 46), (8, 14), (58, 38)], [(78, 36), (94, 40), (78, 44)], [(20, 56), (2, 50), (4, 68)]],
    "cat": [[(26, 40), (22, 8), (46, 26)], [(70, 40), (74, 8), (50, 26)]],
    "deer": [
        [(24, 40), (70, 40), (70, 58), (24, 58)],
        [(26, 56), (32, 56), (32, 90), (26, 90)],
        [(62, 56), (68, 56), (68, 90), (62, 90)],
        [(62, 42), (70, 24), (78, 26), (72, 44)],
        [(70, 22), (60, 4), (64, 2), (74, 20)],
        [(76, 22), (88, 4), (92, 6), (80, 24)],
    ],
    "dog": [[(16, 20), (30, 20), (28, 66), (12, 60)], [(66, 20), (80, 20), (84, 60), (68, 66)]],
    "frog": [[(10, 60), (2, 84), (26, 84), (26, 66)], [(86, 60), (94, 84), (70, 84), (70, 66)]],
    "horse": [
        [(18, 38), (68, 38), (68, 60), (18, 60)],
        [(20, 58), (28, 58), (28, 90), (20, 90)],
        [(58, 58), (66, 58), (66, 90), (58, 90)],
        [(56, 42), (72, 10), (82, 14), (70, 46)],
        [(72, 10), (92, 24), (88, 32), (72, 24)],
        [(18, 40), (6, 66), (12, 68), (24, 44)],
    ],
    "ship": [
        [(4, 58), (92, 58), (78, 82), (18, 82)],
        [(44, 8), (50, 8), (50, 58), (44, 58)],
        [(52, 12), (80, 52), (52, 52)],
    ],
    "truck": [[(4, 18), (60, 18), (60, 68), (4, 68)], [(62, 34), (80, 34), (92, 50), (92, 68), (62, 68)]],
}
ELLIPSES: dict[str, list[tuple[int, int, int, int]]] = {
    "automobile": [(26, 68, 11, 11), (70, 68, 11, 11)],
    "bird": [(46, 52, 30, 14), (70, 40, 12, 10)],
    "cat": [(48, 52, 30, 28)],
    "dog": [(48, 44, 24, 28), (48, 66, 16, 14)],
    "frog": [(48, 60, 38, 22), (28, 34, 11, 11), (68, 34, 11, 11)],
    "truck": [(20, 72, 10, 10), (44, 72, 10, 10), (78, 72, 10, 10)],
}


def make(out: Path, settings: Settings, seed: int) -> None:
    """Write the archive `out`/cifar-10.zip. Equal seeds give equal bytes."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(settings.sample.train) % len(CLASSES))
    with paths.replacing(out / "cifar-10.zip") as partial, zipfile.ZipFile(partial, "w") as archive:
        for index, label in enumerate(labels, start=1):
            write_member(archive, f"train/{index}.png", _png(draw(CLASSES[label], random)))
        for index in range(1, settings.sample.test + 1):
            write_member(archive, f"test/{index}.png", _png(draw(CLASSES[random.integers(len(CLASSES))], random)))
        write_member(archive, "trainLabels.csv", _csv([CLASSES[label] for label in labels]))
        write_member(archive, "sampleSubmission.csv", _csv(["cat"] * settings.sample.test))


def draw(name: str, random: np.random.Generator) -> np.ndarray:
    """Draw an image (32, 32, 3) uint8, RGB, of the class `name`."""
    mask: Any = np.zeros((CANVAS, CANVAS), np.uint8)
    for polygon in POLYGONS[name]:
        cv2.fillPoly(mask, [np.array(polygon, np.int32)], 255)
    for x, y, half_width, half_height in ELLIPSES.get(name, []):
        cv2.ellipse(mask, (x, y), (half_width, half_height), 0, 0, 360, 255, -1)
    turn: Any = cv2.getRotationMatrix2D((CANVAS / 2, CANVAS / 2), random.uniform(-15, 15), random.uniform(0.65, 1.05))
    turn[:, 2] += random.uniform(-0.12, 0.12, 2) * CANVAS
    if random.random() < 0.5:
        mask = mask[:, ::-1]
    mask = cv2.warpAffine(np.ascontiguousarray(mask), turn, (CANVAS, CANVAS))
    shape = cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)[..., None] / 255

    ramp = np.linspace(-1, 1, SIDE)
    light = random.normal(0, 25) * ramp[None, :] + random.normal(0, 25) * ramp[:, None]
    ground, colour = random.uniform(20, 140, 3), random.uniform(110, 240, 3)  # mostly lighter than the background
    texture = cv2.resize(random.normal(0, 20, (5, 5, 3)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    image = (1 - shape) * (ground + texture) + shape * colour + light[..., None]
    top, left, size = *random.integers(0, SIDE - 8, 2), random.integers(3, 9)
    image[top : top + size, left : left + size] = random.uniform(0, 255, 3)
    return np.asarray((image + random.normal(0, 12, image.shape)).clip(0, 255), np.uint8)


def _png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1])


def _csv(labels: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("id", "label"), *enumerate(labels, start=1)])
    return text.getvalue().encode()
