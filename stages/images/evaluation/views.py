"""Test-time augmentation: the views of each image over which evaluation averages. N C H W."""

from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor

from stages.core.errors import InputError
from stages.images.settings import View


def seen(images: Tensor, views: Sequence[View]) -> Iterator[Tensor]:
    """The images (N, C, H, W) in each view, in order; a shift gives four.

    Raises InputError for a shift by more pixels than there are to reflect.
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
