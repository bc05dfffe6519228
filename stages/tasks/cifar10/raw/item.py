"""One image on its way from an archive to the packed arrays."""

from dataclasses import dataclass
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Item:
    """split, a short name, where it came from (for messages), pixels (32, 32, 3) uint8, class, and what is wrong with it."""

    split: Literal["train", "dev", "test"]
    name: str
    where: str
    image: np.ndarray | None
    label: int | None
    problem: str | None
