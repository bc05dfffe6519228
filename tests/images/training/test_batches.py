"""Batches: every item once, in an order and with augmentations that depend on (seed, epoch, item) alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from stages.compute import distributed
from stages.core.errors import InputError
from stages.images.settings import Augment, Crop, Cutout, Flip
from stages.images.training.batches import DeviceBatches, WorkerBatches, load

AUGMENT = Augment(crop=Crop(4), flip=Flip(0.5), cutout=Cutout(8))
MEAN, STD = [120.0, 110.0, 100.0], [60.0, 50.0, 40.0]


def make(kind: Callable[..., Any], *, num: int = 50, batch_size: int = 16, same: bool = False, **settings: Any) -> Any:
    pixels = np.random.default_rng(0).integers(0, 256, (num, 32, 32, 3), np.uint8)
    if same:
        pixels[:] = pixels[0]
    defaults: dict[str, Any] = {"device": torch.device("cpu"), "mean": MEAN, "std": STD, "seed": 5, "augment": AUGMENT}
    names = [f"item{index}" for index in range(num)]
    return kind(pixels, np.arange(num), names, batch_size=batch_size, **(defaults | settings))


def by_item(batches: Any, epoch: int) -> torch.Tensor:
    """The inputs of an epoch in the items' own order, after a check that each came once and with its own label."""
    parts = list(batches.epoch(epoch))
    index = torch.cat([part.indices for part in parts])
    assert sorted(index.tolist()) == list(range(batches.num_items))
    assert (torch.cat([part.targets for part in parts]) == index).all()
    assert len(parts) == len(batches)
    return torch.cat([part.inputs for part in parts])[index.argsort()]


@pytest.mark.parametrize("kind", [DeviceBatches, WorkerBatches])
def test_evaluation_batches_are_the_normalised_images_in_order(kind: Any) -> None:
    batches = make(kind, augment=None)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 3), np.uint8)
    expected = ((pixels - np.array(MEAN)) / np.array(STD)).transpose(0, 3, 1, 2)
    inputs = torch.cat([part.inputs for part in batches.epoch(0)])
    np.testing.assert_allclose(inputs.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert next(iter(batches.epoch(0))).inputs.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", [DeviceBatches, WorkerBatches])
def test_an_item_looks_the_same_whatever_the_batch_size(kind: Any) -> None:
    assert torch.equal(by_item(make(kind, batch_size=16), 3), by_item(make(kind, batch_size=7), 3))


def test_an_item_looks_the_same_whatever_the_number_of_workers() -> None:
    first = make(WorkerBatches, num_workers=0)
    for num_workers in (1, 2):
        batches = make(WorkerBatches, num_workers=num_workers)
        for epoch in (0, 1):
            assert torch.equal(by_item(first, epoch), by_item(batches, epoch))


@pytest.mark.parametrize(("kind", "settings"), [(DeviceBatches, {}), (WorkerBatches, {"num_workers": 2})])
def test_no_two_items_workers_or_epochs_repeat_each_others_draws(kind: Any, settings: dict[str, int]) -> None:
    """All images are equal, so two equal inputs would be two equal draws: 81 x 2 x 625 are possible."""
    batches = make(kind, same=True, num=48, **settings)
    inputs = torch.cat([by_item(batches, epoch) for epoch in range(3)]).flatten(1)
    assert len(inputs.unique(dim=0)) > 140


def test_each_epoch_has_an_order_of_its_own_and_seeds_differ() -> None:
    orders = [make(DeviceBatches, seed=seed).order(epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0), (1, 1))]
    assert len({tuple(order.tolist()) for order in orders}) == 4
    assert torch.equal(make(DeviceBatches, seed=1).order(1), orders[3])


@pytest.mark.parametrize("kind", [DeviceBatches, WorkerBatches])
@pytest.mark.parametrize("augment", [Augment(cutout=Cutout(33)), Augment(crop=Crop(32))])
def test_an_augmentation_larger_than_the_images_is_named(kind: Any, augment: Augment) -> None:
    with pytest.raises(InputError, match=r"augment\.(cutout\.size: 33|crop\.padding: 32) "):
        make(kind, augment=augment)


def test_items_names_what_a_batch_holds() -> None:
    batches = make(DeviceBatches)
    part = list(batches.epoch(2))[1]
    assert batches.item_names(2, 1) == [f"item{index}" for index in part.indices.tolist()]


def test_images_that_do_not_fit_are_refused_by_device_and_worked_on_by_auto(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.images.training.batches._memory", lambda device: 100_000)
    with pytest.raises(InputError, match="loading: workers"):
        make(load, loading="device")
    assert isinstance(make(load, loading="auto"), WorkerBatches)
    assert isinstance(make(load, loading="auto", num=5), DeviceBatches)


@pytest.mark.parametrize("kind", [DeviceBatches, WorkerBatches])
def test_a_training_batch_must_give_every_process_an_image(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 4)
    make(kind, batch_size=4)
    make(kind, batch_size=3, augment=None)
    with pytest.raises(InputError, match=r"^batch_size: the smallest batch has 3 item\(s\) for 4 processes"):
        make(kind, batch_size=3)
