"""Test-time augmentation: views of each image, over which evaluation averages. N C H W."""

from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor

from stages.core.errors import InputError
from stages.images.settings import View


def apply_views(images: Tensor, views: Sequence[View]) -> Iterator[Tensor]:
    """Yield the images (N, C, H, W) in each view, in order; a shift gives four views.

    Raises InputError for a shift that is not smaller than the images.
    """
    for view in views:
        if view == "plain":
            yield images
        elif view == "flip":
            yield images.flip(3)
        else:
            size, (height, width) = view.shift, images.shape[2:]
            if size >= min(height, width):
                raise InputError(
                    f"evaluate.views: images of {height} x {width} pixels cannot be moved by {size}; give fewer"
                )
            padded = F.pad(images, (size, size, size, size), mode="reflect")
            for top, left in ((size, 2 * size), (size, 0), (2 * size, size), (0, size)):
                yield padded[:, :, top : top + height, left : left + width]
