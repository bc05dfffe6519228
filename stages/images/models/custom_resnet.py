"""custom_resnet: a nine-layer residual network for small images, after the winners of DAWNBench. N C H W."""

from torch import Tensor, nn
from torch.nn import functional as F


def block(inputs: int, outputs: int, dropout: float, *, pool: bool = False) -> nn.Sequential:
    """Convolution 3x3 -> [max pooling 2] -> batch norm -> ReLU -> dropout."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.MaxPool2d(2) if pool else nn.Identity(),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
    )


class MaxPool(nn.Module):
    """Maximum over all positions: (N, C, H, W) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, x.shape[2:])


class Model(nn.Module):
    """6,573,130 parameters and 379.27 M multiply-adds at width 64, ten classes and 32x32 pixels.

    A residual branch ends in a ReLU; there is none after the addition.
    """

    def __init__(self, num_classes: int, *, width: int = 64, dropout: float = 0.02) -> None:
        super().__init__()
        w, p = width, dropout
        self.prep = block(3, w, p)
        self.layer1 = block(w, 2 * w, p, pool=True)
        self.residual1 = nn.Sequential(block(2 * w, 2 * w, p), block(2 * w, 2 * w, p))
        self.layer2 = block(2 * w, 4 * w, p, pool=True)
        self.layer3 = block(4 * w, 8 * w, p, pool=True)
        self.residual3 = nn.Sequential(block(8 * w, 8 * w, p), block(8 * w, 8 * w, p))
        self.pool = MaxPool()
        self.num_features = 8 * w
        self.head: nn.Module = nn.Linear(self.num_features, num_classes)

    def embed(self, x: Tensor) -> Tensor:  # (N, 3, 32, 32)
        x = self.layer1(self.prep(x))  # (N, 2w, 16, 16)
        x = x + self.residual1(x)
        x = self.layer3(self.layer2(x))  # (N, 8w, 4, 4)
        x = x + self.residual3(x)
        return self.pool(x).flatten(1)  # (N, 8w)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.embed(x))  # (N, K)
