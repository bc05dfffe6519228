"""Batches of images, from data held on the device or loaded by worker processes. The order is a function of (seed, epoch).

Both classes give `for batch in batches.epoch(e)`: every item exactly once, in `len(batches)` batches, the last one smaller
or, while training, a little larger. Of several processes each gets its share of every batch.
"""

import json
import signal
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from stages.compute import distributed
from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.core.machine import memory, num_cores
from stages.data.packed import read_texts
from stages.images.storage import EncodedImages, JoinedImages
from stages.images.training import augmentation, mixing

Images = np.ndarray | EncodedImages | JoinedImages  # (N, H, W, C) uint8; the array may be a memory map
CHUNK = 4096  # images on their way to the device at a time


class ImageBatch(NamedTuple):
    """A batch of N images on the device.

    inputs (N, C, H, W) float32, channels last in memory; targets (N,) int64; indices (N,): rows of the split, on the CPU.
    In mixed batches (MixUp, CutMix) an image is to the `share` (a scalar) itself, the rest one of the target in `partners`.
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    partners: Tensor | None = None
    share: Tensor | None = None


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
        self._mix = getattr(augment, "mix", None)
        if augment is not None:
            distributed.require(self._ends[0])

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def _ends(self) -> list[int]:
        """Where each batch of an epoch ends."""
        if self.augment is not None:
            return distributed.batch_ends(self.num_items, self.batch_size)
        return [*range(self.batch_size, self.num_items, self.batch_size), self.num_items]

    def order(self, epoch: int) -> Tensor:
        """The items' indices in the order of this epoch: (N,) int64 on the CPU."""
        if self.augment is None:
            return torch.arange(self.num_items)
        return torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(self.num_items))

    def batches(self, epoch: int) -> list[Tensor]:
        """The indices of each batch of this epoch, in order, of all processes."""
        return list(self.order(epoch).tensor_split(self._ends[:-1]))

    def items(self, epoch: int, number: int) -> list[str]:
        """The names in batch `number` of an epoch."""
        return [self.names[index] for index in self.batches(epoch)[number].tolist()]

    def shares(self, epoch: int, first: int) -> Iterator[tuple[int, Tensor]]:
        """(number, indices) of this process's part of each batch from number `first` on, where it has one."""
        for number, indices in enumerate(self.batches(epoch)):
            if number >= first and len(share := distributed.shard(indices)):
                yield number, share

    def _finish(self, images: Tensor, targets: Tensor, indices: Tensor, epoch: int, number: int) -> ImageBatch:
        """Batch `number` of an epoch from its images (N, H, W, C) uint8, augmented one by one already."""
        inputs = normalize(images, self.mean, self.std)
        if self._mix is None:
            return ImageBatch(inputs, targets, indices)
        inputs, partners, share = mixing.mix(self._mix, inputs, targets, seed=self.seed, epoch=epoch, number=number)
        return ImageBatch(inputs, targets, indices, partners, share)


class DeviceBatches(_ImageBatches):
    """Images that live on the device, augmented there a batch at a time."""

    def __init__(self, images: Images, labels: np.ndarray, names: Sequence[str], **settings: Any) -> None:
        super().__init__(images, labels, names, **settings)
        self.images = torch.empty(images.shape, dtype=torch.uint8, device=self.device)
        for begin in range(0, len(images), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            self.images[chunk] = torch.from_numpy(np.array(images[chunk]))
        self.labels = torch.from_numpy(np.array(labels)).to(self.device)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[ImageBatch]:
        """The batches of an epoch, from number `first` on."""
        numbered = list(self.shares(epoch, first))
        if not numbered:
            return
        numbers, shares = zip(*numbered, strict=True)
        on_device = torch.cat(shares).to(self.device)  # once an epoch, so that no batch waits for a transfer
        draws: augmentation.Draws = {}
        if self.augment is not None:
            drawn = augmentation.draw(self.augment, self.num_items, self.images.shape[1], self.seed, epoch)
            draws = {name: rows.to(self.device) for name, rows in drawn.items()}
        sizes = [len(share) for share in shares]
        for number, share, index in zip(numbers, shares, on_device.split(sizes), strict=True):
            images = self.images[index]
            if self.augment is not None:
                rows = {name: values[index] for name, values in draws.items()}
                images = augmentation.apply(self.augment, images, rows, self.mean)
            yield self._finish(images, self.labels[index], share, epoch, number)


class WorkerBatches(_ImageBatches):
    """Images read from a memory map and augmented by albumentations in worker processes; nothing stays in memory.

    num_workers: 0 works in this process.
    """

    def __init__(
        self, images: Images, labels: np.ndarray, names: Sequence[str], *, num_workers: int = 0, **settings: Any
    ) -> None:
        super().__init__(images, labels, names, **settings)
        # A proxy, for with a cycle of references the workers would outlive their batches, and be inherited by later ones.
        self._sampler = _EpochBatches(weakref.proxy(self))
        self._loader = DataLoader(
            _AugmentedImages(images, labels, self.mean.cpu().numpy(), self.seed, self.augment),
            batch_size=None,  # the sampler's items are whole batches already
            sampler=self._sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_settle_in,
            collate_fn=_share if num_workers > 0 else None,
        )

    def epoch(self, epoch: int, first: int = 0) -> Iterator[ImageBatch]:
        """The batches of an epoch, from number `first` on."""
        self._sampler.now = epoch, first
        for number, images, labels, indices in self._loader:
            images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            yield self._finish(images, labels, indices, epoch, number)


class _EpochBatches:
    """A sampler that yields (epoch, number, indices of one batch): the workers' augmentations depend on all of them."""

    def __init__(self, batches: _ImageBatches) -> None:
        self.batches, self.now = batches, (0, 0)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[int, int, Tensor]]:
        epoch, first = self.now
        for number, indices in self.batches.shares(epoch, first):
            yield epoch, number, indices


class _AugmentedImages(Dataset[tuple[int, Tensor, Tensor, Tensor]]):
    """dataset[epoch, number, indices] -> number, images (N, H, W, C) uint8, labels (N,), indices."""

    def __init__(self, images: Images, labels: np.ndarray, mean: np.ndarray, seed: int, augment: Any) -> None:
        self.images, self.labels, self.mean, self.seed, self.augment = images, labels, mean, seed, augment
        self._transform: Any = None

    def __getitem__(self, item: tuple[int, int, Tensor]) -> tuple[int, Tensor, Tensor, Tensor]:
        epoch, number, indices = item
        images = self.images[indices.numpy()]
        if self.augment is not None:
            if self._transform is None:  # made in the worker, which alone imports albumentations
                self._transform = augmentation.worker_transform(self.augment, self.mean, images.shape[1])
            for row, index in enumerate(indices.tolist()):
                augmentation.reseed(self._transform, self.seed, epoch, index)
                images[row] = self._transform(image=images[row])["image"]
        return number, torch.from_numpy(images), torch.from_numpy(self.labels[indices.numpy()]), indices


def _settle_in(worker: int) -> None:
    """Ctrl-C reaches every process of the terminal, and only the trainer should act on it. A worker has a core, not all."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _share(batch: Any) -> Any:
    """What `_AugmentedImages` gives, in shared memory.

    The thread that sends it would do so otherwise, and where there is no room for it the trainer would wait for ever.
    """
    number, images, labels, indices = batch
    return number, images.share_memory_(), labels.share_memory_(), indices


def normalize(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(N, H, W, C) uint8 -> (N, C, H, W) float32 of zero mean and unit variance; the memory stays channels last."""
    return ((images.float() - mean) / std).permute(0, 3, 1, 2)


Batches = DeviceBatches | WorkerBatches


def of_split(
    images: Images, features: Path, splits: Sequence[str], run: Run, compute: Compute, *, seed: int = 0, augment: Any = None
) -> Batches:
    """Batches of the images of splits, with the labels and names that lie beside them in features/<split>/."""
    stats = json.loads((features / "stats.json").read_text())
    return load(
        images,
        np.concatenate([np.load(features / split / "labels.npy") for split in splits]),
        [name for split in splits for name in read_texts(features / split / "names")],
        loading=run.loading or "auto",
        batch_size=run.batch_size,
        device=compute.device,
        mean=stats["mean"],
        std=stats["std"],
        seed=seed,
        augment=augment,
    )


def load(
    images: Images, labels: np.ndarray, names: Sequence[str], *, loading: str, device: torch.device, **settings: Any
) -> Batches:
    """Batches in the way that `loading` names; `auto` takes the device if the images fill at most a quarter of its memory.

    Of all its memory, not of what happens to be free: the two ways draw other random numbers, and equal runs are equal.
    settings: as for _ImageBatches. Raises InputError if `device` is asked for and the images do not fit there.
    """
    size, available = images.nbytes, _memory(device)
    if loading == "device" and size > available:
        need = f"{size / 1e9:.1f} GB of images do not fit into the {available / 1e9:.1f} GB of {device}"
        raise InputError(f"loading: device: {need}; use `loading: workers`")
    if loading == "device" or (loading == "auto" and size <= available / 4):
        return DeviceBatches(images, labels, names, device=device, **settings)
    is_training = settings.get("augment") is not None
    if loading == "auto" and is_training:
        print(f"loading: workers, because {size / 1e9:.1f} GB of images would fill over a quarter of {device}'s memory")
    # Without augmentation there is little to do but decoding, which has threads of its own, and no GPU to keep waiting.
    is_work = is_training or (isinstance(images, EncodedImages) and device.type == "cuda")
    num_workers = min(8, max(num_cores() // distributed.local_size(), 1)) if is_work else 0
    return WorkerBatches(images, labels, names, device=device, num_workers=num_workers, **settings)


def _memory(device: torch.device) -> int:
    """In bytes, for this process."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory() // distributed.local_size()
