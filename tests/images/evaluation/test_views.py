"""Views of images: each where it should be, and their mean what a loop over images makes of it."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stages.compute.device import Compute
from stages.core.errors import InputError
from stages.images.evaluation import classification
from stages.images.evaluation.views import apply_views
from stages.images.settings import Shift, View
from stages.images.training.batches import DeviceBatches

CPU = Compute(torch.device("cpu"), "fp32")
ALL: list[View] = ["plain", "flip", Shift(2)]


def naive(image: np.ndarray) -> list[np.ndarray]:
    """The six views of one image (C, H, W)."""
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)), "reflect")
    moved = [np.roll(padded, step, axis)[:, 2:-2, 2:-2] for step, axis in ((-2, 2), (2, 2), (-2, 1), (2, 1))]
    return [image, image[:, :, ::-1], *moved]


class Means(nn.Module):
    """Logits of the left upper corner, which each view changes."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, :3, :3].mean((2, 3)) * 3


@pytest.fixture
def data() -> DeviceBatches:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    settings: Any = dict(batch_size=8, device=CPU.device, mean=[127.0] * 3, std=[74.0] * 3, seed=1)
    return DeviceBatches(pixels, np.arange(20) % 3, [str(number) for number in range(20)], **settings)


def test_the_views_are_those_of_a_loop_over_images() -> None:
    images = torch.randn(3, 2, 8, 9).contiguous(memory_format=torch.channels_last)
    found = torch.stack(list(apply_views(images, ALL)), 1)
    for image, views in zip(images.numpy(), found, strict=True):
        np.testing.assert_array_equal(views, np.stack(naive(image)))


def test_probabilities_are_means_over_views_and_the_plain_ones_are_kept(data: DeviceBatches) -> None:
    inputs, targets = (torch.cat([getattr(batch, name) for batch in data.epoch(0)]) for name in ("inputs", "targets"))
    each = torch.stack([Means()(torch.from_numpy(np.stack(naive(image)))).softmax(1).mean(0) for image in inputs.numpy()])
    found = classification.predict(Means(), data, CPU, ALL)
    assert torch.equal(found.predicted, each.argmax(1))
    torch.testing.assert_close(found.probability, each.max(1).values.double(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.loss, -each[range(20), targets].log().double(), rtol=1e-5, atol=1e-6)
    plain = classification.predict(Means(), data, CPU, ["plain"])
    assert torch.equal(found.plain, plain.predicted) and torch.equal(plain.plain, plain.predicted)
    assert not torch.equal(found.plain, found.predicted)


def test_an_image_is_not_moved_out_of_itself() -> None:
    with pytest.raises(InputError, match=r"^evaluate\.views: images of 8 x 8 pixels cannot be moved by 8; give fewer$"):
        list(apply_views(torch.zeros(1, 3, 8, 8), ["plain", Shift(8)]))
