"""Batches of images, from data held on the device or loaded by worker processes. The order is a function of (seed, epoch).

Both classes give `for batch in batches.epoch(e)`: every item exactly once, in `len(batches)` batches, the last one smaller.
"""

import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.engine import augment as augmentation
from stages.engine.errors import InputError

Images = np.ndarray  # (N, H, W, C) uint8, possibly a memory map


class ImageBatch(NamedTuple):
    """A batch of N images on the device.

    inputs (N, C, H, W) float32, channels last in memory; targets (N,) int64; places (N,): rows of the split, on the CPU.
    """

    inputs: Tensor
    targets: Tensor
    places: Tensor


class _ImageBatches:
    """What both kinds of batches share.

    images (N, H, W, C) uint8; labels (N,) int64; names: N texts for messages; mean, std: per channel, in 0 to 255.
    augment: an Augment block for training, in an order of its own each epoch; None for evaluation, in the given order.
    """

    def __init__(
        self,
        images: Images,
        labels: np.ndarray,
        names: Sequence[str],
        *,
        batch_size: int,
        device: torch.device,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
        augment: Any = None,
    ) -> None:
        self.num_items, self.batch_size, self.device, self.seed = len(images), batch_size, device, seed
        self.names, self.augment = names, augment
        self.mean, self.std = torch.tensor(mean, device=device), torch.tensor(std, device=device)

    def __len__(self) -> int:
        return -(-self.num_items // self.batch_size)

    def order(self, epoch: int) -> Tensor:
        """The items' places in the order of this epoch: (N,) int64 on the CPU."""
        if self.augment is None:
            return torch.arange(self.num_items)
        return torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(self.num_items))

    def items(self, epoch: int, number: int) -> list[str]:
        """The names in batch `number` of an epoch."""
        return [self.names[place] for place in self.order(epoch).split(self.batch_size)[number].tolist()]


class DeviceBatches(_ImageBatches):
    """Images that live on the device, augmented there a batch at a time."""

    def __init__(self, images: Images, labels: np.ndarray, names: Sequence[str], **settings: Any) -> None:
        super().__init__(images, labels, names, **settings)
        self.images = torch.from_numpy(np.array(images)).to(self.device)
        self.labels = torch.from_numpy(np.array(labels)).to(self.device)

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        places = self.order(epoch)
        on_device = places.to(self.device)  # once an epoch, so that no batch waits for a transfer
        draws: augmentation.Draws = {}
        if self.augment is not None:
            drawn = augmentation.draw(self.augment, self.num_items, self.images.shape[1], self.seed, epoch)
            draws = {name: rows.to(self.device) for name, rows in drawn.items()}
        for place, index in zip(places.split(self.batch_size), on_device.split(self.batch_size), strict=True):
            images = self.images[index]
            if self.augment is not None:
                rows = {name: values[index] for name, values in draws.items()}
                images = augmentation.apply(self.augment, images, rows, self.mean)
            yield ImageBatch(normalize(images, self.mean, self.std), self.labels[index], place)


class WorkerBatches(_ImageBatches):
    """Images read from a memory map and augmented by albumentations in worker processes; nothing stays in memory.

    num_workers: 0 works in this process.
    """

    def __init__(
        self, images: Images, labels: np.ndarray, names: Sequence[str], *, num_workers: int = 0, **settings: Any
    ) -> None:
        super().__init__(images, labels, names, **settings)
        self._sampler = _EpochBatches(self)
        self._loader = DataLoader(
            _AugmentedImages(images, labels, self.mean.cpu().numpy(), self.seed, self.augment),
            batch_size=None,  # the sampler's items are whole batches already
            sampler=self._sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_leave_interrupts_to_the_trainer,
        )

    def epoch(self, epoch: int) -> Iterator[ImageBatch]:
        self._sampler.epoch = epoch
        for images, labels, places in self._loader:
            images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            yield ImageBatch(normalize(images, self.mean, self.std), labels, places)


class _EpochBatches:
    """A sampler that yields (epoch, places of one batch): a worker needs both to draw its augmentations."""

    def __init__(self, batches: _ImageBatches) -> None:
        self.batches, self.epoch = batches, 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[int, Tensor]]:
        for places in self.batches.order(self.epoch).split(self.batches.batch_size):
            yield self.epoch, places


class _AugmentedImages(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """dataset[epoch, places] -> images (N, H, W, C) uint8, labels (N,), places."""

    def __init__(self, images: Images, labels: np.ndarray, mean: np.ndarray, seed: int, augment: Any) -> None:
        self.images, self.labels, self.mean, self.seed, self.augment = images, labels, mean, seed, augment
        self._transform: Any = None

    def __getitem__(self, item: tuple[int, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        epoch, places = item
        images = self.images[places.numpy()]
        if self.augment is not None:
            if self._transform is None:  # made in the worker, which alone imports albumentations
                self._transform = augmentation.worker_transform(self.augment, self.mean, images.shape[1])
            for row, place in enumerate(places.tolist()):
                augmentation.reseed(self._transform, self.seed, epoch, place)
                images[row] = self._transform(image=images[row])["image"]
        return torch.from_numpy(images), torch.from_numpy(self.labels[places.numpy()]), places


def _leave_interrupts_to_the_trainer(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal; only the trainer should act on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 of zero mean and unit variance; the memory stays channels last."""
    return ((images - mean) / std).permute(0, 3, 1, 2)


def load(
    images: Images, labels: np.ndarray, names: Sequence[str], *, loading: str, device: torch.device, **settings: Any
) -> DeviceBatches | WorkerBatches:
    """Batches in the way that `loading` names; `auto` takes the device while the images fill under half its free memory.

    settings: as for _ImageBatches. Raises InputError if `device` is asked for and the images do not fit there.
    """
    free = _free_memory(device)
    if loading == "device" and images.nbytes > free:
        need = f"{images.nbytes / 1e9:.1f} GB of images do not fit into the {free / 1e9:.1f} GB free on {device}"
        raise InputError(f"loading: device: {need}; use `loading: workers`")
    if loading == "device" or (loading == "auto" and images.nbytes < free / 2):
        return DeviceBatches(images, labels, names, device=device, **settings)
    num_workers = min(8, len(os.sched_getaffinity(0))) if settings.get("augment") is not None else 0
    return WorkerBatches(images, labels, names, device=device, num_workers=num_workers, **settings)


def _free_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
