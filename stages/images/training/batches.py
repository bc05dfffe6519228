"""Batches of images, held on the device or loaded by worker processes. The order is a function of (seed, epoch).

`for batch in batches.epoch(e)` yields every image once, in `len(batches)` batches; the last one may be smaller or, in
training, a little larger. With several processes, each gets its share of every batch.
"""

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
from stages.images.statistics import ImageStats
from stages.images.storage import EncodedImages, JoinedImages
from stages.images.training import augmentation, mixing

Images = np.ndarray | EncodedImages | JoinedImages  # (N, H, W, C) uint8; the array may be a memory map
CHUNK = 4096  # images per transfer to the device


class ImageBatch(NamedTuple):
    """A batch of N images on the device.

    inputs (N, C, H, W) float32, channels last in memory; targets (N,) int64; indices (N,): rows of the split, on the CPU.
    After MixUp or CutMix, `share` (a scalar) is the weight of the image itself; the rest belongs to `partners` (N,).
    """

    inputs: Tensor
    targets: Tensor
    indices: Tensor
    partners: Tensor | None = None
    share: Tensor | None = None


class _ImageBatches:
    """The base class of both.

    images (N, H, W, C) uint8; labels (N,) int64; names: N strings for messages; mean, std: per channel, in 0 to 255.
    augment: an Augment block for training, with a random order per epoch; None for evaluation, in the split's order.
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
            augmentation.check_sizes(augment, images.shape[1])
            distributed.require(self._ends[0])

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def _ends(self) -> list[int]:
        """The end of each batch in the order of an epoch."""
        if self.augment is not None:
            return distributed.batch_ends(self.num_items, self.batch_size)
        return [*range(self.batch_size, self.num_items, self.batch_size), self.num_items]

    def order(self, epoch: int) -> Tensor:
        """Return the items' indices in the order of this epoch: (N,) int64 on the CPU."""
        if self.augment is None:
            return torch.arange(self.num_items)
        return torch.from_numpy(np.random.default_rng((self.seed, epoch)).permutation(self.num_items))

    def batches(self, epoch: int) -> list[Tensor]:
        """Return the indices of each batch of this epoch, over all processes."""
        return list(self.order(epoch).tensor_split(self._ends[:-1]))

    def item_names(self, epoch: int, number: int) -> list[str]:
        """Return the names in batch `number` of an epoch."""
        return [self.names[index] for index in self.batches(epoch)[number].tolist()]

    def shares(self, epoch: int, first: int) -> Iterator[tuple[int, Tensor]]:
        """Yield (number, indices) of this process's share of each batch from `first` on, unless it is empty."""
        for number, indices in enumerate(self.batches(epoch)):
            if number >= first and len(share := distributed.shard(indices)):
                yield number, share

    def _finish(self, images: Tensor, targets: Tensor, indices: Tensor, epoch: int, number: int) -> ImageBatch:
        """Normalize and mix batch `number` of an epoch. images: (N, H, W, C) uint8, already augmented."""
        inputs = normalize(images, self.mean, self.std)
        if self._mix is None:
            return ImageBatch(inputs, targets, indices)
        inputs, partners, share = mixing.mix(self._mix, inputs, targets, seed=self.seed, epoch=epoch, number=number)
        return ImageBatch(inputs, targets, indices, partners, share)


class DeviceBatches(_ImageBatches):
    """Images held on the device and augmented there, a batch at a time."""

    def __init__(self, images: Images, labels: np.ndarray, names: Sequence[str], **settings: Any) -> None:
        super().__init__(images, labels, names, **settings)
        self.images = torch.empty(images.shape, dtype=torch.uint8, device=self.device)
        for begin in range(0, len(images), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            self.images[chunk] = torch.from_numpy(np.array(images[chunk]))
        self.labels = torch.from_numpy(np.array(labels)).to(self.device)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[ImageBatch]:
        """Yield the batches of an epoch from number `first` on."""
        numbered = list(self.shares(epoch, first))
        if not numbered:
            return
        numbers, shares = zip(*numbered, strict=True)
        on_device = torch.cat(shares).to(self.device)  # once per epoch, so that no batch waits for a transfer
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
    """Images read from a memory map and augmented by albumentations in worker processes.

    num_workers: 0 loads in this process.
    """

    def __init__(
        self, images: Images, labels: np.ndarray, names: Sequence[str], *, num_workers: int = 0, **settings: Any
    ) -> None:
        super().__init__(images, labels, names, **settings)
        # A proxy, because a reference cycle would keep the workers alive after their batches.
        self._sampler = _EpochBatches(weakref.proxy(self))
        self._loader = DataLoader(
            AugmentedImages(images, labels, self.mean.cpu().numpy(), self.seed, self.augment),
            batch_size=None,  # the sampler yields whole batches
            sampler=self._sampler,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=self.device.type == "cuda",
            worker_init_fn=_init_worker,
            collate_fn=_share if num_workers > 0 else None,
        )

    def epoch(self, epoch: int, first: int = 0) -> Iterator[ImageBatch]:
        """Yield the batches of an epoch from number `first` on."""
        self._sampler.now = epoch, first
        for number, images, labels, indices in self._loader:
            images, labels = images.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)
            yield self._finish(images, labels, indices, epoch, number)


class _EpochBatches:
    """A sampler of (epoch, number, indices of one batch); augmentation depends on all three."""

    def __init__(self, batches: _ImageBatches) -> None:
        self.batches, self.now = batches, (0, 0)

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[tuple[int, int, Tensor]]:
        epoch, first = self.now
        for number, indices in self.batches.shares(epoch, first):
            yield epoch, number, indices


class AugmentedImages(Dataset[tuple[int, Tensor, Tensor, Tensor]]):
    """dataset[epoch, number, indices] -> number, images (N, H, W, C) uint8, labels (N,), indices."""

    def __init__(self, images: Images, labels: np.ndarray, mean: np.ndarray, seed: int, augment: Any) -> None:
        self.images, self.labels, self.mean, self.seed, self.augment = images, labels, mean, seed, augment
        self._transform: Any = None

    def __getitem__(self, item: tuple[int, int, Tensor]) -> tuple[int, Tensor, Tensor, Tensor]:
        epoch, number, indices = item
        images = self.images[indices.numpy()]
        if self.augment is not None:
            if self._transform is None:  # only workers import albumentations
                self._transform = augmentation.worker_transform(self.augment, self.mean, images.shape[1])
            for row, index in enumerate(indices.tolist()):
                augmentation.reseed(self._transform, self.seed, epoch, index)
                images[row] = self._transform(image=images[row])["image"]
        return number, torch.from_numpy(images), torch.from_numpy(self.labels[indices.numpy()]), indices


def _init_worker(worker: int) -> None:
    """Ignore Ctrl-C, which reaches all processes of the terminal but is for the trainer, and use one thread."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _share(batch: Any) -> Any:
    """Move a sample of `AugmentedImages` to shared memory.

    Otherwise the worker's sending thread does so, and if memory runs out there the trainer waits forever.
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
    """Return batches of the images of `splits`, with the labels and names in features/<split>/."""
    stats = ImageStats.read(features)
    return load(
        images,
        np.concatenate([np.load(features / split / "labels.npy") for split in splits]),
        [name for split in splits for name in read_texts(features / split / "names")],
        loading=run.loading or "auto",
        batch_size=run.batch_size,
        device=compute.device,
        mean=stats.mean,
        std=stats.std,
        seed=seed,
        augment=augment,
    )


def load(
    images: Images, labels: np.ndarray, names: Sequence[str], *, loading: str, device: torch.device, **settings: Any
) -> Batches:
    """Return batches of the kind that `loading` names; `auto` is `device` if the images fill at most a third of memory.

    That is all of the device's memory, not the free part: the two kinds draw different random numbers, and a run must be
    repeatable. settings: those of _ImageBatches. Raises InputError if `loading` is `device` and the images do not fit.
    """
    size, available = images.nbytes, _memory(device)
    if loading == "device" and size > available:
        need = f"{size / 1e9:.1f} GB of images do not fit into the {available / 1e9:.1f} GB of {device}"
        raise InputError(f"loading: device: {need}; use `loading: workers`")
    if loading == "device" or (loading == "auto" and size <= available / 3):
        return DeviceBatches(images, labels, names, device=device, **settings)
    is_training = settings.get("augment") is not None
    if loading == "auto" and is_training:
        print(f"loading: workers, because {size / 1e9:.1f} GB of images would fill over a third of {device}'s memory")
    # Evaluation needs no workers, except to decode while a GPU computes.
    needs_workers = is_training or (isinstance(images, EncodedImages) and device.type == "cuda")
    num_workers = min(8, max(num_cores() // distributed.local_size(), 1)) if needs_workers else 0
    return WorkerBatches(images, labels, names, device=device, num_workers=num_workers, **settings)


def _memory(device: torch.device) -> int:
    """Return the memory for this process in bytes."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory() // distributed.local_size()
