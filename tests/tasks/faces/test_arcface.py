"""The margin against its definition by angles, and its gradient where that definition has none."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stages.compute.device import seed_torch
from stages.images.models import resnet50
from stages.tasks.faces.training.arcface import arcface_logits
from stages.tasks.faces.training.cosine_head import CosineHead

MARGINS = [0.1, 0.9]


def by_angles(cosines: Tensor, targets: Tensor, margin: float, scale: float) -> Tensor:
    """The definition, an image and a class at a time, in float64."""
    logits = torch.empty(cosines.shape, dtype=torch.float64)
    for row, target in enumerate(targets.tolist()):
        for column, cosine in enumerate(cosines[row].tolist()):
            angle = math.acos(cosine)
            if column == target:
                inside = angle < math.pi - margin
                cosine = math.cos(angle + margin) if inside else cosine - margin * math.sin(margin)
            logits[row, column] = scale * cosine
    return logits


def of_true_class(cosines: Tensor, margin: float, scale: float = 1.0) -> Tensor:
    """(N,) -> (N,), each cosine that of the true class, which is the first of two."""
    both = torch.stack((cosines, torch.zeros_like(cosines)), 1)
    return arcface_logits(both, torch.zeros(len(cosines), dtype=torch.int64), margin, scale)[:, 0]


@pytest.mark.parametrize("margin", MARGINS)
def test_the_margin_is_an_angle_added_to_the_true_classs(margin: float) -> None:
    seed_torch(0)
    cosines, targets = 2 * torch.rand(300, 5) - 1, torch.randint(5, (300,))
    torch.testing.assert_close(
        arcface_logits(cosines, targets, margin, 64.0).double(), by_angles(cosines, targets, margin, 64.0), rtol=0, atol=1e-3
    )


@pytest.mark.parametrize("margin", MARGINS)
def test_the_true_classs_logit_rises_with_its_cosine_from_end_to_end(margin: float) -> None:
    cosines = torch.linspace(-1, 1, 4001)
    assert (of_true_class(cosines, margin).diff() > 0).all()
    ends = of_true_class(torch.tensor([-1.0, 1.0]), margin)
    assert ends.tolist() == pytest.approx([-1 - margin * math.sin(margin), math.cos(margin)], abs=1e-3)


def test_the_gradient_is_that_of_the_angles() -> None:
    cosines = torch.linspace(-0.99, 0.99, 51).requires_grad_()
    [ours] = torch.autograd.grad(of_true_class(cosines, 0.5, 64.0).sum(), cosines)
    exact = cosines.detach().double().requires_grad_()
    angles = exact.acos()
    falling = exact - 0.5 * math.sin(0.5)
    [expected] = torch.autograd.grad(64 * torch.where(angles < math.pi - 0.5, (angles + 0.5).cos(), falling).sum(), exact)
    torch.testing.assert_close(ours.double(), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("dtype", "margin"), [(torch.float32, 0.9), (torch.float16, 0.1), (torch.float16, 0.9), (torch.bfloat16, 0.5)]
)
def test_gradients_are_finite_and_push_the_right_way_even_at_the_ends(dtype: torch.dtype, margin: float) -> None:
    ends = torch.tensor([-1.0, 1.0])
    rounded_beyond = torch.nextafter(ends, 2 * ends)  # which float32's matrix product can give
    near = (torch.nextafter(ends, 0 * ends), (1 - 6e-7) * ends, 0.9995 * ends)
    cosines = torch.cat((ends, rounded_beyond, *near)).to(dtype).requires_grad_()
    logits = of_true_class(cosines, margin, 64.0)
    [gradient] = torch.autograd.grad(logits.sum(), cosines)
    assert logits.dtype == torch.float32 and logits.isfinite().all()
    assert (gradient > 0).all() and (gradient <= torch.finfo(torch.float16).max).all()


def test_a_network_trains_with_margin_half_and_scale_64() -> None:
    seed_torch(0)
    model = resnet50.Model(4, width=8)
    model.head = CosineHead(model.num_features, 4)
    x, targets = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), []
    for _ in range(12):
        cosines = model(x)
        loss = F.cross_entropy(arcface_logits(cosines, targets, 0.5, 64.0), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert cosines.dtype == torch.float32
    assert all(weight.isfinite().all() for weight in model.parameters())
    assert losses[-1] < losses[0] / 2


def test_embeddings_on_their_centres_have_finite_gradients() -> None:
    """Cosines that the head itself computes as 1 and -1, rounding included."""
    seed_torch(0)
    head = CosineHead(64, 16)
    x = torch.cat((3 * head.weight.detach(), -head.weight.detach())).requires_grad_()
    targets = torch.arange(32) % 16
    F.cross_entropy(arcface_logits(head(x), targets, 0.5, 64.0), targets).backward()
    assert x.grad is not None and x.grad.isfinite().all()
    assert head.weight.grad is not None and head.weight.grad.isfinite().all()


def test_a_cosine_head_gives_float32_cosines_whatever_the_precision() -> None:
    seed_torch(0)
    head, x = CosineHead(16, 5), torch.randn(7, 16)
    expected = torch.stack([F.cosine_similarity(x, centre.expand(7, -1)) for centre in head.weight], 1)
    torch.testing.assert_close(head(x), expected)
    torch.testing.assert_close(head(1000 * x), expected)
    head.scale = 64.0
    torch.testing.assert_close(head(x), 64 * expected)
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype):
            cosines: Tensor = head(x)
        assert torch.equal(cosines, head(x)) and cosines.dtype == torch.float32
