"""The networks, counted."""

import pytest
import torch
import torchinfo
from torch import nn

from stages.compute.device import seed_torch
from stages.images.models import custom_resnet, dilated_net, resnet50
from stages.results.summary import num_parameters, receptive_field, summarize

EXAMPLE = [torch.zeros(1, 3, 32, 32)]


def test_custom_resnet_is_the_assignments() -> None:
    model = custom_resnet.Model(10)
    assert num_parameters(model) == 6_573_130
    assert torchinfo.summary(model, (1, 3, 32, 32), verbose=0).total_mult_adds == pytest.approx(379.27e6, rel=1e-5)


def test_custom_resnets_shapes_are_the_assignments() -> None:
    model, shapes = custom_resnet.Model(10), []
    layers = [model.prep, model.layer1, model.residual1, model.layer2, model.layer3, model.residual3, model.pool, model.head]
    for layer in layers:
        layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model(torch.zeros(2, 3, 32, 32))
    expected = [(64, 32, 32), (128, 16, 16), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 4, 4), (512, 1, 1), (10,)]
    assert shapes == expected


def test_the_relu_of_a_residual_branch_comes_before_its_addition() -> None:
    """Then x + R(x) is never below x; with a ReLU after the addition, nothing would be negative at all."""
    seed_torch(0)
    model = custom_resnet.Model(10, width=4).eval()
    x = torch.randn(2, 8, 16, 16)
    assert (model.residual1(x) >= 0).all()


def test_dilated_net_is_within_its_assignment() -> None:
    model = dilated_net.Model(10)
    assert num_parameters(model) == 185_306 < 200_000
    assert receptive_field(model, EXAMPLE) == 83 > 44
    convolutions = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    assert not any(isinstance(layer, nn.MaxPool2d | nn.AvgPool2d) for layer in model.modules())
    assert any(layer.dilation[0] > 1 for layer in convolutions)
    depthwise = [place for place, layer in enumerate(convolutions) if layer.groups == layer.in_channels > 1]
    assert depthwise and all(convolutions[place].kernel_size == (3, 3) for place in depthwise)
    assert all(convolutions[place + 1].kernel_size == (1, 1) for place in depthwise), "each is followed by a pointwise one"


def test_the_receptive_field_is_the_footprint_of_the_gradient() -> None:
    """The input pixels that one position before the pooling depends on, on an image large enough to hold them all."""
    seed_torch(0)
    model = dilated_net.Model(10).double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.5, 1.0)  # all positive, so that nothing cancels or dies in a ReLU
    image = torch.ones(1, 3, 128, 128, dtype=torch.float64, requires_grad=True)
    features = model.c4(model.c3(model.c2(model.c1(image))))
    features[0, :, 16, 16].sum().backward()
    assert image.grad is not None
    touched = image.grad[0].abs().sum(0) > 0
    rows, columns = touched.any(1).nonzero().flatten(), touched.any(0).nonzero().flatten()
    field = receptive_field(model.float(), EXAMPLE)
    assert int(rows.max() - rows.min()) + 1 == int(columns.max() - columns.min()) + 1 == field
    assert rows.min() > 0 and rows.max() < 127, "the footprint was cut off by the border"


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)


class Branches(nn.Module):
    """A wide branch, and a narrow one with two layers more; after them, one layer for both."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.after = conv(1, 2, 9, 2), conv(2, 1, 3)
        self.narrow = nn.Sequential(conv(1, 2, 3, 2), nn.ReLU(inplace=True), conv(2, 2, 1), conv(2, 2, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after(nn.functional.relu(self.narrow(x) + self.wide(x)))


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(conv(1, 2, 7, 2), nn.MaxPool2d(3, 2, 1), resnet50.stage(2, 2, depth=2, stride=1)),
        nn.Sequential(conv(1, 2, 1, 2), resnet50.stage(2, 1, depth=1, stride=2), nn.MaxPool2d(2)),
        Branches(),
    ],
)
def test_the_receptive_field_of_branches_is_the_span_of_pixels_that_change_one_output(model: nn.Module) -> None:
    """By brute force: a row of pixels in the middle, each changed in a copy of the image of its own."""
    seed_torch(0)
    model = model.double().eval()
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.uniform_(layer.weight, 0.5, 1.0)  # all positive, so that nothing cancels or dies in a ReLU
    side = 128
    image = torch.rand(1, 1, side, side, dtype=torch.float64)
    with torch.no_grad():
        before = model(image)
        row = column = before.shape[2] // 2
        changes = torch.stack([image[0] for _ in range(side)])
        changes[range(side), 0, side // 2, range(side)] += 10
        after = torch.cat([model(part) for part in changes.split(16)])
    changed = ((after - before)[:, :, row, column].abs().sum(1) > 1e-9).nonzero().flatten().tolist()
    assert changed[-1] - changed[0] + 1 == receptive_field(model.float(), [image.float()])
    assert changed[0] > 0 and changed[-1] < side - 1, "the footprint was cut off by the border"


def test_a_summary_lists_parameters_and_receptive_field() -> None:
    text = summarize(dilated_net.Model(10), EXAMPLE, "dilated_net")
    assert "185,306" in text and "Receptive field: 83" in text
