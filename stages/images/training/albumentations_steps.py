"""Two steps that albumentations 2.0.8 has with other distributions, as transforms of its own kind. For workers alone.

A.ColorJitter shuffles the order of its operations; A.Erasing draws the ratio of the sides evenly, so that the holes are
mostly lying, and erases nothing at all where `area` is over 0.3.
"""

import math
from typing import Any

import cv2
import numpy as np
from albumentations import ImageOnlyTransform

LUMA = np.array([0.299, 0.587, 0.114])


class JitterColors(ImageOnlyTransform):  # type: ignore[misc]  # albumentations is untyped to mypy
    """Brightness, contrast and saturation of an (H, W, 3) uint8 image, in this order, each times 1 ± at most its value."""

    def __init__(self, *values: float) -> None:
        super().__init__(p=1.0)
        self.values = values

    def get_params(self) -> dict[str, Any]:
        return {"factors": [self.py_random.uniform(1 - value, 1 + value) for value in self.values]}

    def apply(self, img: np.ndarray, factors: list[float], **_: Any) -> np.ndarray:
        brightness, contrast, saturation = factors
        img = cv2.convertScaleAbs(img, alpha=brightness)
        grey = LUMA @ cv2.mean(img)[:3]
        img = cv2.addWeighted(img, contrast, img, 0, (1 - contrast) * grey)
        # A matrix is one pass over the image instead of the three of grey values, their three channels, and the blend.
        return cv2.transform(img, saturation * np.eye(3) + (1 - saturation) * LUMA)


class EraseRectangle(ImageOnlyTransform):  # type: ignore[misc]  # albumentations is untyped to mypy
    """One rectangle of the share `area`, width / height log-uniform in `ratio`, anywhere inside the image, filled."""

    def __init__(self, area: float, ratio: tuple[float, float], fill: np.ndarray, p: float) -> None:
        super().__init__(p=p)
        self.area, self.ratio, self.fill = area, ratio, fill

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        side = params["shape"][0]
        root = math.sqrt(math.exp(self.py_random.uniform(*map(math.log, self.ratio))))
        height, width = (max(1, round(side * math.sqrt(self.area) * factor)) for factor in (1 / root, root))
        top, left = self.py_random.randint(0, side - height), self.py_random.randint(0, side - width)
        return {"box": (slice(top, top + height), slice(left, left + width))}

    def apply(self, img: np.ndarray, box: tuple[slice, slice], **_: Any) -> np.ndarray:
        img = img.copy()
        img[box] = self.fill
        return img
