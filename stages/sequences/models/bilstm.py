"""bilstm: a convolution that halves the frames, a residual block, a deep bidirectional LSTM. Shapes: N T F, N C T, N T K."""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.sequences.training import layers
from stages.sequences.training.batch_norm import MaskedBatchNorm
from stages.sequences.training.layers import BidirectionalLSTM


class Residual(nn.Module):
    """x + convolution, batch norm, GELU, convolution, batch norm; and a GELU after the addition."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 3, padding=1, bias=False)
        self.norm1 = MaskedBatchNorm(width)
        self.conv2 = nn.Conv1d(width, width, 3, padding=1, bias=False)
        self.norm2 = MaskedBatchNorm(width)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:  # (N, C, T), (N, T); x is zero where no frame is real
        y = F.gelu(self.norm1(self.conv1(x), real))
        return F.gelu(x + self.norm2(self.conv2(y), real))


class Model(nn.Module):
    """6,755,625 parameters at 13 features and 41 classes. T frames become (T - 1) // 2 + 1."""

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        features: int | None = None,
        hidden: int = 256,
        num_layers: int = 4,
        dropout: float = 0.4,
        kaiming: bool = True,
    ) -> None:
        super().__init__()
        self.features = layers.choose_features(features, num_features)
        self.conv = nn.Conv1d(self.features, hidden, 3, stride=2, padding=1, bias=False)
        self.norm = MaskedBatchNorm(hidden)
        self.residual = Residual(hidden)
        self.dropout = nn.Dropout(dropout)
        self.lstm = BidirectionalLSTM(hidden, hidden, num_layers, dropout)
        self.head = nn.Sequential(nn.Linear(2 * hidden, 4 * hidden), nn.GELU(), nn.Linear(4 * hidden, num_classes))
        if kaiming:
            layers.kaiming(self)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, T, F), (N,)
        # At least two frames: with one, PyTorch 2.14's bf16 gradient of this convolution is garbage on a CPU.
        x = self.conv(layers.take(x, lengths, self.features, multiple=2).mT)  # (N, hidden, T/2)
        lengths = (lengths - 1) // 2 + 1
        real = layers.mask(lengths, x.shape[2])
        x = self.dropout(self.residual(F.gelu(self.norm(x, real)), real))
        return self.head(self.lstm(x.mT, lengths)), lengths  # (N, T/2, K)
