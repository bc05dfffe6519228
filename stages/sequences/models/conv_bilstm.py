"""conv_bilstm: three convolutions, each halving the frames, and a wide bidirectional LSTM. Shapes: N T F, N C T, N T K."""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.sequences.training import layers
from stages.sequences.training.batch_norm import MaskedBatchNorm
from stages.sequences.training.layers import BidirectionalLSTM


class Block(nn.Module):
    """Convolution -> batch norm -> leaky ReLU -> max pooling 2 -> dropout; an odd last frame is dropped."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, bias=kernel == 1)
        self.norm = MaskedBatchNorm(outputs)
        self.pool = nn.MaxPool1d(2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, C, T), T even -> (N, C, T/2)
        x = F.leaky_relu(self.norm(self.conv(x), layers.mask(lengths, x.shape[2])))
        # The window of an odd last frame mixes in padding, but it lies beyond lengths // 2.
        return self.dropout(self.pool(x)), lengths // 2


class Model(nn.Module):
    """23,221,737 parameters at 13 features and 41 classes, 23,101,440 of them the LSTM's. T frames become T // 8.

    Only the first convolution has no bias. Some utterances have too few frames left for CTC.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        features: int | None = None,
        hidden: int = 512,
        num_layers: int = 4,
        dropout: float = 0.4,
        conv_dropout: float = 0.45,
        kaiming: bool = False,
    ) -> None:
        super().__init__()
        self.features = layers.choose_features(features, num_features)
        self.block1 = Block(self.features, 64, 3, conv_dropout)
        self.block2 = Block(64, 128, 1, conv_dropout)
        self.block3 = Block(128, 512, 1, conv_dropout)
        self.lstm = BidirectionalLSTM(512, hidden, num_layers, dropout)
        self.head = nn.Linear(2 * hidden, num_classes)
        if kaiming:
            layers.kaiming(self)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, T, F), (N,)
        x = layers.take(x, lengths, self.features, multiple=8).mT
        for block in (self.block1, self.block2, self.block3):
            x, lengths = block(x, lengths)
        return self.head(self.lstm(x.mT, lengths)), lengths  # (N, T/8, K)
