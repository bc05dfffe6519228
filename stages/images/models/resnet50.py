"""resnet50: bottlenecks 3, 4, 6, 3 (He et al. 2015, arXiv:1512.03385), with the stride in the 3x3. N C H W."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    """1x1 to `width`, 3x3 with the stride, 1x1 to four times `width`, each with batch norm; + x or its projection; ReLU.

    The convolutions have biases, as in the assignment, though the batch norm cancels them.
    """

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1)
        self.norm3 = nn.BatchNorm2d(outputs)
        self.projection = (
            nn.Identity()
            if inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        y = F.relu(self.norm2(self.conv2(y)), inplace=True)
        return F.relu(self.norm3(self.conv3(y)) + self.projection(x), inplace=True)


def stage(inputs: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """`depth` bottlenecks; the first has the stride and the projection."""
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1) for _ in range(depth - 1)))


class Model(nn.Module):
    """37,877,528 parameters at 7000 classes and width 64; the embedding has 32 times `width` features.

    depths: blocks per stage. small_stem: a 3x3 convolution without stride and pooling, for images of 32 to 64 pixels.
    """

    def __init__(
        self, num_classes: int, *, width: int = 64, depths: Sequence[int] = (3, 4, 6, 3), small_stem: bool = False
    ) -> None:
        super().__init__()
        w, (d1, d2, d3, d4) = width, depths
        if small_stem:
            self.stem = nn.Sequential(nn.Conv2d(3, w, 3, padding=1, bias=False), nn.BatchNorm2d(w), nn.ReLU(inplace=True))
        else:
            self.stem = nn.Sequential(
                nn.Conv2d(3, w, 7, stride=2, padding=3, bias=False),
                nn.BatchNorm2d(w),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        self.stage1 = stage(w, w, depth=d1, stride=1)
        self.stage2 = stage(4 * w, 2 * w, depth=d2, stride=2)
        self.stage3 = stage(8 * w, 4 * w, depth=d3, stride=2)
        self.stage4 = stage(16 * w, 8 * w, depth=d4, stride=2)
        self.num_features = 32 * w
        self.head: nn.Module = nn.Linear(self.num_features, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, Bottleneck):
                # Each block starts as the identity, which helps at large rates (Goyal et al. 2017, arXiv:1706.02677).
                # Otherwise the first gradients in bf16 hardly resemble those in float32.
                nn.init.zeros_(layer.norm3.weight)

    def embed(self, x: Tensor) -> Tensor:  # (N, 3, 224, 224), say
        x = self.stage1(self.stem(x))  # (N, 4w, 56, 56)
        x = self.stage4(self.stage3(self.stage2(x)))  # (N, 32w, 7, 7)
        return x.mean((2, 3))  # (N, 32w)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))  # (N, K)
