"""Dropout: how much is kept, its scale and gradient, and that it is a function of torch's seed."""

import math

import pytest
import torch
from torch import Tensor, nn

from stages.compute.dropout import Dropout


def images(kind: torch.dtype = torch.float32) -> Tensor:
    """Ones, channels last, an odd number of them."""
    return torch.ones(7, 3, 45, 77, dtype=kind).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("p", [0.02, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float64])
def test_the_share_p_is_dropped_and_the_rest_scaled(p: float, kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x = images(kind)
    y = Dropout(p)(x)
    assert (y.dtype, y.shape, y.stride()) == (x.dtype, x.shape, x.stride())
    dropped = (y == 0).double()
    assert float(dropped.mean()) == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / x.numel()))
    torch.testing.assert_close(y[y != 0], torch.full_like(y[y != 0], 1 / (1 - p)), rtol=2e-3 * p / (1 - p), atol=1e-5)
    # Neighbours in every dimension, and the four that share a random word, are dropped independently of each other.
    centred = dropped - dropped.mean()
    neighbours = [
        (centred.narrow(d, k, x.shape[d] - k) * centred.narrow(d, 0, x.shape[d] - k)) for d in range(4) for k in (1, 2)
    ]
    for product in neighbours:
        assert float(product.mean()) == pytest.approx(0, abs=5 * p * (1 - p) / math.sqrt(product.numel()))


def test_the_scale_is_one_over_the_share_that_is_really_kept() -> None:
    """A probability between two multiples of 1/65536 is rounded, and so is what makes up for it."""
    p = 1 - 1.5 / 2**16
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(2**21))
    assert y.max() in (2**15, 2**16)


def test_the_mean_is_kept_in_bf16_too() -> None:
    """A mask that holds the scale, 1.0204 here, would hold 1.0234 in bf16."""
    torch.manual_seed(0)
    x = torch.rand(2**22).bfloat16()
    assert float(Dropout(0.02)(x).double().sum() / x.double().sum()) == pytest.approx(1, abs=5e-4)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_gradient_is_the_mask_times_the_scale(kind: torch.dtype) -> None:
    torch.manual_seed(0)
    x = images(kind).requires_grad_()
    y = Dropout(0.4)(x)
    above = torch.randn_like(y)
    y.backward(above)
    torch.testing.assert_close(x.grad, (above * (y != 0)) * y.detach().max())


def test_the_same_seed_gives_the_same_mask_and_the_next_call_another() -> None:
    layer, x = Dropout(0.5), images()
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first) and torch.equal(layer(x), second)
    assert not torch.equal(first, second)
    torch.manual_seed(4)
    assert not torch.equal(layer(x), first)


def test_nothing_is_dropped_at_zero() -> None:
    assert torch.equal(Dropout(0.0)(images()), images())


def test_everything_is_dropped_at_one() -> None:
    assert not Dropout(1.0)(images()).any()


def test_in_evaluation_it_is_the_identity_and_draws_nothing() -> None:
    x, before = images(), torch.get_rng_state()
    assert Dropout(0.5).eval()(x) is x
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 9])
def test_any_number_of_elements_will_do(size: int) -> None:
    torch.manual_seed(0)
    found = torch.stack([Dropout(0.5)(torch.ones(size)) for _ in range(60)])
    assert found.shape == (60, size)
    assert all(set(place.tolist()) == {0.0, 2.0} for place in found.T), "every place is dropped at times, and kept at times"


def test_tensors_that_are_not_dense_are_dropped_too() -> None:
    torch.manual_seed(0)
    for x in (torch.ones(20, 30)[:, ::3], torch.ones(20, 1).expand(20, 10), torch.ones(5, 8, 5).mT[::2], torch.tensor(1.0)):
        y = torch.stack([Dropout(0.5)(x) for _ in range(60)])
        assert y.shape[1:] == x.shape and set(y.unique().tolist()) == {0.0, 2.0}
        assert (y.mean(0) > 0).all() and (y.amin(0) == 0).all()


def test_it_is_called_what_pytorchs_is() -> None:
    """Its name stands in the model's summary."""
    assert repr(Dropout(0.1)) == repr(nn.Dropout(0.1))
    with pytest.raises(ValueError, match="between 0 and 1"):
        Dropout(1.1)
