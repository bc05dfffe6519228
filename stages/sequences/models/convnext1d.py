"""convnext1d: ConvNeXt-T (arXiv:2201.03545) over time, with batch norm and ReLU. Shapes: N T F, N C T, N T K."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from stages.sequences.training import layers
from stages.sequences.training.batch_norm import MaskedBatchNorm


class Block(nn.Module):
    """Depthwise 7, batch norm, ReLU, 1x1 to 4 C, batch norm, ReLU, 1x1 back, batch norm; + x if the shape stays.

    Every convolution has a bias.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.residual, self.stride = inputs == outputs and stride == 1, stride
        self.depthwise = nn.Conv1d(inputs, outputs, 7, stride, padding=3, groups=inputs)
        self.norm1 = MaskedBatchNorm(outputs)
        self.expand = nn.Conv1d(outputs, 4 * outputs, 1)
        self.norm2 = MaskedBatchNorm(4 * outputs)
        self.project = nn.Conv1d(4 * outputs, outputs, 1)
        self.norm3 = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, C, T); x is zero where no frame is real
        y = self.depthwise(x)
        lengths = (lengths - 1) // self.stride + 1
        real = layers.mask(lengths, y.shape[2])
        y = F.relu(self.norm1(y, real))
        y = F.relu(self.norm2(self.expand(y), real))
        y = self.norm3(self.project(y), real)
        return x + y if self.residual else y, lengths


class Model(nn.Module):
    """26,080,937 parameters at 13 features and 41 classes. T frames become (T // 2 - 1) // 2 + 1.

    The published network is a print-out that cannot run: it pools 1-D data in 2-D, has a total stride of 128, and always
    gives 256 frames. This one has its blocks, widths and depths, no shortcut in the first block of a stage whose shape
    changes, and one class per frame. It leaves out:

    - dropout 0.1 before the head, where the pooling was, as the network underfits;
    - weights from N(0, 0.01) for linear layers, as the only one, the head, is a convolution here;
    - a first block of stage 1 without a shortcut, as that had stride 2 and has stride 1 here.

    depths: blocks per stage.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        features: int | None = None,
        width: int = 96,
        depths: Sequence[int] = (3, 3, 9, 3),
    ) -> None:
        super().__init__()
        self.features = layers.choose_features(features, num_features)
        self.stem = nn.Conv1d(self.features, width, 4, stride=2, padding=1)
        self.norm = MaskedBatchNorm(width)
        self.blocks, inputs = nn.ModuleList(), width
        for stage, (depth, stride) in enumerate(zip(depths, (1, 1, 2, 1), strict=True)):
            outputs = width * 2**stage
            self.blocks.append(Block(inputs, outputs, stride))
            self.blocks.extend(Block(outputs, outputs, 1) for _ in range(depth - 1))
            inputs = outputs
        self.head = nn.Conv1d(inputs, num_classes, 1)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, T, F), (N,)
        x = self.stem(layers.take(x, lengths, self.features, multiple=2).mT)  # (N, C, T/2)
        lengths = lengths // 2
        x = F.relu(self.norm(x, layers.mask(lengths, x.shape[2])))
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return self.head(x).mT, lengths  # (N, T/4, K)
