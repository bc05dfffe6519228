"""The networks: counted, equal to torchvision's where those are the same, and able to learn."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from benchmarks.features import PICTURES
from stages.compute.device import seed_torch
from stages.core.errors import InputError
from stages.images.models import convnext, custom_resnet, dilated_net, resnet50
from stages.images.settings import Model
from stages.images.training import classifier
from stages.results.summary import num_parameters
from stages.tasks import load_params
from tests.conftest import ROOT

SMALL: dict[str, Callable[..., Any]] = {
    "resnet50": lambda num_classes=4: resnet50.Model(num_classes, width=8),
    "resnet50 with a small stem": lambda num_classes=4: resnet50.Model(num_classes, width=8, small_stem=True),
    "convnext": lambda num_classes=4: convnext.Model(num_classes, width=8, path_dropout=0.0),
    "custom_resnet": lambda num_classes=4: custom_resnet.Model(num_classes, width=8, dropout=0.0),
    "dilated_net": lambda num_classes=4: dilated_net.Model(num_classes),
}
each_network = pytest.mark.parametrize("name", SMALL)


@pytest.mark.parametrize(("model", "expected"), [(resnet50.Model, 37_877_528), (convnext.Model, 33_203_128)])
def test_the_networks_are_the_assignments(model: Any, expected: int) -> None:
    with torch.device("meta"):
        built = model(7000)
    assert num_parameters(built) == expected
    assert f"{expected:,} parameters" in model.__doc__


def test_a_small_stem_keeps_the_side() -> None:
    model = resnet50.Model(10, width=8, small_stem=True)
    assert model.stem(torch.zeros(2, 3, 32, 32)).shape == (2, 8, 32, 32)


def compare(ours: nn.Module, theirs: nn.Module, added: set[str]) -> None:
    """With torchvision's weights our outputs and gradients are torchvision's, in evaluation mode.

    Both list their tensors in the same order, but for ours that torchvision's lacks, `added`, which must begin as zeros.
    """
    for weight in theirs.parameters():
        if weight.ndim in (1, 3):  # norms, biases and layer scales, which begin as constants and would hide a mix-up
            nn.init.normal_(weight, 1.0, 0.2)
    for layer in theirs.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    with torch.no_grad():
        theirs(torch.randn(4, 3, 32, 32))  # for the running statistics
    ours.double().eval()
    theirs.double().eval()
    names = [name for name in ours.state_dict() if name not in added]
    tensors = dict(zip(names, theirs.state_dict().values(), strict=True))
    before = ours.state_dict()
    assert not any(before[name].any() for name in added)
    ours.load_state_dict(before | {name: tensor.reshape(before[name].shape) for name, tensor in tensors.items()})

    x, weights = torch.randn(2, 3, 32, 32, dtype=torch.float64, requires_grad=True), torch.randn(2, 10)
    y, expected = ours(x), theirs(x)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    mine = [weight for name, weight in ours.named_parameters() if name not in added]
    gradients = torch.autograd.grad((y * weights).sum(), [x, *mine])
    others = torch.autograd.grad((expected * weights).sum(), [x, *theirs.parameters()])
    for gradient, other in zip(gradients, others, strict=True):
        torch.testing.assert_close(gradient, other.reshape(gradient.shape), rtol=1e-8, atol=1e-8 * other.abs().max().item())


def test_resnet50_is_torchvisions_where_its_biases_are_zero() -> None:
    seed_torch(0)
    ours = resnet50.Model(10)
    biases = {f"{name}.bias" for name, layer in ours.named_modules() if isinstance(layer, nn.Conv2d)} - {"stem.0.bias"}
    compare(ours, torchvision.models.resnet50(num_classes=10), added=biases)


def test_convnext_begins_as_torchvisions_begins_and_computes_the_same() -> None:
    seed_torch(0)
    ours, theirs = convnext.Model(10), torchvision.models.convnext_tiny(num_classes=10)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if mine.ndim == 1:
            assert torch.equal(mine, other.flatten()), name
        else:
            assert mine.std().item() == pytest.approx(other.std().item(), rel=0.05), name
    compare(ours, theirs, added=set())


def test_every_bottleneck_begins_as_its_shortcut() -> None:
    seed_torch(0)
    for layer in resnet50.Model(4, width=8).stage3[1:]:
        x = torch.rand(2, 128, 4, 4)
        assert torch.equal(layer(x), x)


@each_network
@pytest.mark.parametrize("side", [32, 80])
def test_the_logits_are_the_heads_of_the_embedding(name: str, side: int) -> None:
    seed_torch(0)
    model, x = SMALL[name](5).eval(), torch.randn(2, 3, side, side)
    with torch.no_grad():
        embedding = model.embed(x)
        assert embedding.shape == (2, model.num_features)
        assert torch.equal(model(x), model.head(embedding))
        model.head = nn.Linear(model.num_features, 7)
        assert torch.equal(model(x), model.head(embedding))


@each_network
def test_the_smallest_image_is_the_smallest_that_can_be_computed(name: str) -> None:
    model = SMALL[name]().eval()

    def computes(side: int) -> bool:
        try:
            return bool(model(torch.zeros(1, 3, side, side)).isfinite().all())
        except RuntimeError:
            return False

    by_name = {get_args(get_type_hints(block)["name"])[0]: block for block in get_args(Model)}
    assert by_name[name.split()[0]].smallest == next(side for side in range(1, 65) if computes(side))


def test_images_too_small_for_a_network_are_refused() -> None:
    run = load_params(ROOT / "params.yaml").run("convnext")
    with pytest.raises(
        InputError, match="convnext: needs images of at least 32 pixels a side, but those of the task faces have 31"
    ):
        classifier.build_model(run, replace(PICTURES, side=31))


@each_network
def test_an_image_gives_the_same_embedding_alone_and_in_a_batch(name: str) -> None:
    seed_torch(0)
    model, x = SMALL[name]().eval(), torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model.embed(x)[1:2], model.embed(x[1:2]), rtol=0, atol=1e-5)


@each_network
def test_a_network_learns_one_batch_by_heart(name: str) -> None:
    seed_torch(0)
    model = SMALL[name]().to(memory_format=torch.channels_last)
    x, targets = torch.randn(8, 3, 32, 32), torch.arange(8) % 4
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(40):
        loss = F.cross_entropy(model(x), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.05:
            break
    assert loss < 0.05
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


def test_stochastic_depth_grows_linearly_over_the_blocks_like_torchvisions() -> None:
    model, theirs = convnext.Model(4, width=8, path_dropout=0.3), torchvision.models.convnext_tiny(stochastic_depth_prob=0.3)
    shares = [getattr(layer.path_dropout, "p", 0.0) for layer in model.modules() if isinstance(layer, convnext.Block)]
    expected = [layer.p for layer in theirs.modules() if isinstance(layer, torchvision.ops.StochasticDepth)]
    assert shares == pytest.approx(expected)
    assert shares[-1] == pytest.approx(0.3)


def test_convnexts_memory_is_channels_last_throughout() -> None:
    model, strided = convnext.Model(4, width=8).to(memory_format=torch.channels_last), []
    for layer in model.modules():
        if isinstance(layer, convnext.Block | nn.Conv2d):
            layer.register_forward_hook(
                lambda _, inputs, output: strided.append(not output.is_contiguous(memory_format=torch.channels_last))
            )
    model(torch.randn(2, 3, 64, 64))
    assert len(strided) == 18 + 18 + 4 and not any(strided)
