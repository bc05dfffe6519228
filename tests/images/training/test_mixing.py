"""MixUp and CutMix against naive versions."""

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, kstest

from stages.images.settings import CutMix, MixUp
from stages.images.training.mixing import mix


def batch(num: int = 12, side: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """A normalised batch in channels-last memory, with the index of each image as its target."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num, side, side, 3, generator=generator).permute(0, 3, 1, 2), torch.arange(num)


def test_mixup_is_the_weighted_mean_of_an_image_and_its_partner() -> None:
    images, targets = batch()
    before = images.clone()
    shares = []
    for number in range(400):
        mixed, partners, share = mix(MixUp("mixup", 0.4, 1.0), images, targets, seed=0, epoch=0, number=number)
        assert partners.sort().values.equal(targets)
        assert share.shape == ()
        torch.testing.assert_close(mixed, share * images + (1 - share) * images[partners])
        shares.append(share.item())
    assert images.equal(before)
    assert mixed.stride() == images.stride()
    assert kstest(shares, "beta", (0.4, 0.4)).pvalue > 1e-4


def test_cutmix_takes_one_box_from_the_partner_and_keeps_the_exact_share() -> None:
    images, targets = batch()
    before = images.clone()
    shares = []
    for number in range(400):
        mixed, partners, share = mix(CutMix("cutmix", 1.0, 1.0), images, targets, seed=0, epoch=0, number=number)
        assert (mixed == images).all(1).logical_xor((mixed == images[partners]).all(1)).all()
        taken = (mixed != images).all(1)
        assert (taken == taken[0]).all()
        rows, columns = taken[0].any(1), taken[0].any(0)
        assert taken[0].equal(rows[:, None] & columns)
        assert all(line.nonzero().diff(dim=0).eq(1).all() for line in (rows, columns))
        assert share.item() == pytest.approx(1 - taken[0].float().mean().item())
        shares.append(share.item())
    assert images.equal(before)
    expected = [naive_share(np.random.default_rng(number), 20) for number in range(4000)]
    assert ks_2samp(shares, expected).pvalue > 1e-4


def naive_share(rng: np.random.Generator, side: int) -> float:
    """What a CutMix box with an even weight leaves, counted pixel by pixel."""
    length = int(side * np.sqrt(1 - rng.uniform()))
    kept = [[True] * side for _ in range(side)]
    top, left = (int(rng.integers(side)) - length // 2 for _ in range(2))
    for row in range(top, top + length):
        for column in range(left, left + length):
            if 0 <= row < side and 0 <= column < side:
                kept[row][column] = False
    return float(np.mean(kept))


@pytest.mark.parametrize("kind", [MixUp("mixup", 0.4, 0.3), CutMix("cutmix", 1.0, 0.3)])
def test_mixing_happens_with_its_probability_and_depends_on_seed_epoch_and_number(kind: MixUp | CutMix) -> None:
    images, targets = batch()
    indices = [(seed, epoch, number) for seed in range(3) for epoch in range(10) for number in range(10)]
    shares = []
    for seed, epoch, number in indices:
        settings = {"seed": seed, "epoch": epoch, "number": number}
        mixed, _, share = mix(kind, images, targets, **settings)
        again = mix(kind, images[:5], targets[:5], **settings)[2]
        assert share == again
        assert (share == 1) == mixed.equal(images)
        shares.append(share.item())
    changed = [share for share in shares if share != 1]
    assert 55 < len(changed) < 125
    assert len(set(changed)) > (0.9 if isinstance(kind, MixUp) else 0.4) * len(changed)
