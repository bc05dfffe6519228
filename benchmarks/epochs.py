"""An epoch of each full network: ours against the loop that a competent user writes, in wall-clock seconds.

    python -m benchmarks.epochs [RUN …] [--rounds 3]

Both train the same full-size network with the same loss, optimizer and precision on synthetic data: an epoch is shortened to
256 images of CIFAR-10, 32 faces of 112 pixels or 16 utterances of LibriSpeech's lengths. Both use all cores, in turn, after
a warm-up epoch; medians over the rounds.
The usual loop has a DataLoader with a worker per core, torchvision's transforms v2 or length-bucketed padded batches,
channels-last, and bf16 autocast if the CPU has instructions for it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ruamel.yaml import YAML
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from benchmarks import features
from stages.compute import device
from stages.config.params import read
from stages.config.schema import Run
from stages.core import paths
from stages.images.storage import EncodedImages
from stages.sequences import storage
from stages.sequences.training.batches import SequenceBatch
from stages.tasks import load_params, task_module
from stages.training.loop import Trainer
from stages.training.optimizers import build_optimizer
from stages.training.recorder import NullRecorder
from stages.training.resume import Resume
from stages.training.state import TrainState

LR = 1e-4
IMAGES, FACES, SIDE, UTTERANCES = 256, 32, 112, 16


class Images(Dataset[tuple[Tensor, int]]):
    """The decoded and transformed images of the training split."""

    def __init__(self, run: Run, stats: Any, images: Any, labels: np.ndarray) -> None:
        self.images, self.labels = images, labels
        augment, side = run.augment, stats.side
        steps: list[nn.Module] = [v2.ToImage()]
        if getattr(augment, "crop", None):
            steps.append(v2.RandomCrop(side, padding=augment.crop.padding, padding_mode="reflect"))
        if augment.flip:
            steps.append(v2.RandomHorizontalFlip(augment.flip.p))
        if affine := augment.shift_scale_rotate:
            moves = v2.RandomAffine(affine.rotate, (affine.shift, affine.shift), (1 - affine.scale, 1 + affine.scale))
            steps.append(v2.RandomApply([moves], affine.p))
        if getattr(augment, "grayscale", None):
            steps.append(v2.RandomGrayscale(augment.grayscale.p))
        if jitter := getattr(augment, "color_jitter", None):
            steps.append(v2.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation))
        mean, std = ([value / 255 for value in values] for values in (stats.mean, stats.std))
        steps += [v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        if getattr(augment, "cutout", None) or getattr(augment, "erasing", None):
            steps.append(v2.RandomErasing(0.5, (0.1, 0.1)))
        self.transform = v2.Compose(steps)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.images[index : index + 1][0].copy()), int(self.labels[index])


class Utterances(Dataset[tuple[Tensor, Tensor]]):
    """Frames (T, F) and classes (S,) of the training split."""

    def __init__(self, folder: Path) -> None:
        self.frames, self.classes = storage.read_frames(folder), storage.read_transcripts(folder)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        assert self.classes is not None
        return torch.tensor(self.frames[index]), torch.tensor(self.classes[index].astype(np.int64))


class Buckets(Sampler[list[int]]):
    """Batches of sequences of similar lengths, in random order."""

    def __init__(self, lengths: np.ndarray, batch_size: int) -> None:
        order = np.argsort(lengths)
        self.batches = [order[begin : begin + batch_size].tolist() for begin in range(0, len(order), batch_size)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([self.batches[number] for number in torch.randperm(len(self.batches)).tolist()])


def collate(utterances: list[tuple[Tensor, Tensor]]) -> SequenceBatch:
    frames, classes = zip(*utterances, strict=True)
    lengths, sizes = (torch.tensor([len(tensor) for tensor in tensors]) for tensors in (frames, classes))
    return SequenceBatch(pad_sequence(list(frames), True), lengths, pad_sequence(list(classes), True), sizes, torch.empty(0))


def usual_epoch(run: Run, data: Path, stats: Any, compute: device.Compute) -> Callable[[int], float]:
    """Return a function that trains for an epoch with the usual loop and returns the mean loss."""
    task = task_module(run.kind, "training")
    model = task.build_model(run, stats).to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(run.optimizer, model, LR)
    workers: dict[str, Any] = dict(num_workers=os.cpu_count(), persistent_workers=True)
    if run.inputs == "images":
        labels = np.load(data / "train/labels.npy")
        images = Images(run, stats, read_images(data, stats), labels)
        loader: Any = DataLoader(images, run.batch_size, shuffle=True, **workers)
    else:
        utterances = Utterances(data / "train")
        sampler = Buckets(np.diff(utterances.frames.offsets), run.batch_size)
        loader = DataLoader(utterances, batch_sampler=sampler, collate_fn=collate, **workers)

    mix: Callable[..., Any] = nn.Identity()
    if run.inputs == "images" and (found := run.augment.mix):
        kind = v2.CutMix if found.name == "cutmix" else v2.MixUp
        mix = v2.RandomApply([kind(num_classes=len(stats["classes"]), alpha=found.alpha)], found.p)

    def loss(batch: Any) -> Tensor:
        if run.inputs == "images":
            images, labels = mix(batch)
            with compute.autocast():
                logits = model(images.to(memory_format=torch.channels_last))
            return nn.functional.cross_entropy(logits.float(), labels, label_smoothing=run.loss.label_smoothing)
        with compute.autocast():
            output = task.forward(model, batch)
        losses: Tensor = task.loss(output, batch, run.loss)
        return losses.mean()

    def epoch(_: int) -> float:
        losses = []
        for batch in loader:
            step_loss = loss(batch)
            optimizer.zero_grad()
            step_loss.backward()
            if run.train.clip_norm:
                nn.utils.clip_grad_norm_(model.parameters(), run.train.clip_norm)
            optimizer.step()
            losses.append(step_loss.item())
        return statistics.mean(losses)

    return epoch


def our_epoch(run: Run, data: Path, stats: Any, compute: device.Compute) -> Callable[[int], float]:
    """Return the same with the project's loop."""
    task = task_module(run.kind, "training")
    model = compute.to_device(task.build_model(run, stats))
    batches = task.train_batches(data, run, compute, 0)
    trainer = Trainer(task, run, LR, batches, batches, compute, 0, NullRecorder(), Resume(None, 1e9))
    state = TrainState.start(model, run, LR, compute)

    def epoch(number: int) -> float:
        state.steps = 0
        means, _ = trainer.train_epoch(model, state, number, lambda: False)
        return means.read()[0]

    return epoch


def read_images(data: Path, stats: Any) -> Any:
    """Return the images of the training split, (H, W, 3) each: an array, or JPEGs that are decoded on access."""
    array: np.ndarray = np.load(data / "train/images.npy", mmap_mode="r")
    return array if array.ndim == 4 else EncodedImages(data / "train/images", stats.side)


def full_run(name: str) -> Run:
    """Return a run without its `sample` block, with batches that fit the shortened epoch."""
    content: Any = read(paths.PARAMS)
    content["tasks"][content["runs"][name]["task"]]["source"] = "elsewhere"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "params.yaml")
        YAML(typ="safe").dump(content, file)
        run = load_params(file).run(name)
    return replace(run, batch_size={"cifar10": 128, "faces": 16, "speech": 8}[run.task])


def make_data(folder: Path) -> dict[str, Path]:
    """Write synthetic features and return the folder of each task."""
    return {
        "cifar10": features.cifar10(folder / "cifar10", IMAGES, 1),
        "faces": features.faces(folder / "faces", FACES, SIDE, 100),
        "speech": features.speech(folder / "speech", UTTERANCES)[0],
    }


@dataclass
class Epoch:
    """ours, usual: median seconds of an epoch. ratio: the median of usual / ours."""

    run: str
    ours: float
    usual: float
    ratio: float


def measure(names: list[str], rounds: int) -> list[Epoch]:
    """Measure, print and return the epochs of the runs."""
    found = []
    compute = device.choose("cpu", "auto", deterministic=False)
    with tempfile.TemporaryDirectory() as folder:
        data = make_data(Path(folder))
        for name in names:
            run = full_run(name)
            stats = task_module(run.kind, "statistics").Stats.read(data[run.task])
            sides = [make(run, data[run.task], stats, compute) for make in (our_epoch, usual_epoch)]
            rows = []
            for number in range(rounds + 1):
                times = []
                for side in sides:
                    began = time.perf_counter()
                    side(number)
                    times.append(time.perf_counter() - began)
                rows.append(times)
            ours, usual = (statistics.median(row[side] for row in rows[1:]) for side in (0, 1))
            found.append(Epoch(name, ours, usual, statistics.median(row[1] / row[0] for row in rows[1:])))
            print(f"{name}: ours {ours:.1f} s, usual {usual:.1f} s, ratio {found[-1].ratio:.2f}", flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="all by default")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    measure(arguments.runs or list(load_params().runs), arguments.rounds)
