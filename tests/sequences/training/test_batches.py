"""Batches of sequences: every item once, within a budget, an order and masks that depend on (seed, epoch) alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stages.compute import distributed
from stages.config.schema import Frames
from stages.core.errors import InputError
from stages.data.packed import Ragged, RaggedArray
from stages.sequences.training.batches import SequenceBatches, mask_frames_and_coefficients


@dataclass(frozen=True)
class Masks:
    freq_mask: int | None = None
    time_mask: int | None = None


LENGTHS = np.random.default_rng(0).integers(5, 200, 83)


@pytest.fixture
def data(tmp_path: Path) -> tuple[RaggedArray, RaggedArray]:
    """Item i is filled with i + 1; its targets are i % 40 + 1, i % 7 times."""
    with Ragged(tmp_path / "x", (4,), np.float32) as inputs, Ragged(tmp_path / "y", (), np.uint8) as targets:
        for index, length in enumerate(LENGTHS.tolist()):
            inputs.append(np.full((length, 4), index + 1, np.float32))
            targets.append(np.full(index % 7, index % 40 + 1, np.uint8))
    return RaggedArray(tmp_path / "x"), RaggedArray(tmp_path / "y")


def make(data: tuple[RaggedArray, RaggedArray], **settings: Any) -> SequenceBatches:
    defaults: dict[str, Any] = {"batch_size": 8, "device": torch.device("cpu"), "seed": 3, "augment": Masks()}
    return SequenceBatches(*data, [f"u{index}" for index in range(83)], **(defaults | settings))


@pytest.mark.parametrize("batch_size", [1, 8, 1000, Frames(100), Frames(1600)])
@pytest.mark.parametrize("augment", [None, Masks()])
def test_every_item_comes_once_whole_and_with_its_own_targets(data: Any, batch_size: Any, augment: Any) -> None:
    batches = make(data, batch_size=batch_size, augment=augment)
    parts = list(batches.epoch(4))
    assert len(parts) == len(batches)
    assert sorted(torch.cat([part.indices for part in parts]).tolist()) == list(range(83))
    for number, part in enumerate(parts):
        assert batches.item_names(4, number) == [f"u{index}" for index in part.indices.tolist()]
        for row, index in enumerate(part.indices.tolist()):
            length = int(part.lengths[row])
            assert length == LENGTHS[index]
            assert (part.inputs[row, :length] == index + 1).all() and (part.inputs[row, length:] == 0).all()
            assert part.targets[row, : part.target_lengths[row]].tolist() == [index % 40 + 1] * (index % 7)


def test_epochs_differ_in_order_and_members_but_not_in_the_number_of_batches(data: Any) -> None:
    batches = make(data, batch_size=Frames(1600))
    first, second = ([frozenset(part.tolist()) for part in batches.batches(epoch)] for epoch in (0, 1))
    assert len(first) == len(second) and set(first) != set(second)
    again = make(data, batch_size=Frames(1600)).batches(1)
    assert [part.tolist() for part in again] == [part.tolist() for part in batches.batches(1)]


@pytest.mark.parametrize("augment", [None, Masks()])
def test_a_budget_of_frames_is_kept_and_used(data: Any, augment: Any) -> None:
    parts = list(make(data, batch_size=Frames(1600), augment=augment).epoch(0))
    padded = [part.inputs.shape[:2].numel() for part in parts]
    assert max(padded) <= 1600
    assert sum(size > (1300 if augment is None else 1100) for size in padded) >= len(parts) - 2  # what is left may be less
    assert sum(int(part.lengths.sum()) for part in parts) / sum(padded) > (0.85 if augment is None else 0.6)


def test_only_features_that_the_network_takes_are_masked(data: Any) -> None:
    batches = make(data, augment=Masks(freq_mask=2), num_used=2)
    masked = torch.cat([(part.inputs[:, 0] == 0) for part in batches.epoch(0)])
    assert masked.any(0).tolist() == [True, True, False, False]


def test_half_of_a_training_batch_are_long_and_half_short_from_the_longest_to_the_shortest(data: Any) -> None:
    middle = float(np.median(LENGTHS))
    batches = make(data, batch_size=9)
    for epoch in range(3):
        for indices in batches.batches(epoch):
            lengths = LENGTHS[indices]
            assert (lengths[:5] >= 0.9 * middle).all() and (lengths[5:] <= 1.1 * middle).all()
            # Changed by up to 5 % each, and in halves of similar ones.
            assert (lengths[:-1] >= 0.9 * lengths[1:]).all()
            assert np.ptp(lengths[:5]) < 60 and np.ptp(lengths[5:]) < 60


def test_evaluation_goes_from_the_longest_to_the_shortest(data: Any) -> None:
    lengths = torch.cat([part.lengths for part in make(data, augment=None).epoch(0)])
    assert lengths.tolist() == sorted(LENGTHS, reverse=True)


def test_masks_are_one_band_and_one_stretch_of_each_utterance_its_own() -> None:
    num, longest = 400, 60
    inputs, lengths = np.ones((num, longest, 13), np.float32), np.full(num, longest)
    draws = np.random.default_rng(0).random((num, 4), np.float32)
    mask_frames_and_coefficients(inputs, lengths, draws, 5, 20)
    bands, stretches = (inputs == 0).all(1), (inputs == 0).all(2)
    assert {int(band.sum()) for band in bands} == set(range(6))
    assert {int(stretch.sum()) for stretch in stretches} == set(range(21))
    for zero in (*bands, *stretches):
        indices = np.flatnonzero(zero)
        assert len(indices) == 0 or np.ptp(indices) == len(indices) - 1
    assert bands.any(0).all() and stretches.any(0).all(), "a mask can lie anywhere"
    assert len({tuple(stretch) for stretch in stretches}) > 200


def test_a_mask_never_reaches_beyond_a_short_utterance() -> None:
    inputs = np.ones((200, 10, 3), np.float32)
    mask_frames_and_coefficients(inputs, np.full(200, 4), np.random.default_rng(1).random((200, 4), np.float32), None, 50)
    assert (inputs[:, 4:] == 1).all() and (inputs[:, :4] == 0).any()


def test_a_training_batch_must_give_every_process_an_utterance(data: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "size", lambda: 4)
    make(data, batch_size=4)
    with pytest.raises(InputError, match=r"^batch_size: the smallest batch has 3 item\(s\) for 4 processes"):
        make(data, batch_size=3)
