"""pblstm: a pyramidal bidirectional LSTM, after Listen, Attend and Spell (arXiv:1508.01211). Shapes: N T F, N C T, N T K."""

from torch import Tensor, nn
from torch.nn import functional as F

from stages.sequences.training import layers
from stages.sequences.training.batch_norm import MaskedBatchNorm
from stages.sequences.training.layers import BidirectionalLSTM, LockedDropout


class Pyramid(nn.Module):
    """Pairs of frames -> bidirectional LSTM -> locked dropout; an odd last frame is dropped."""

    def __init__(self, inputs: int, hidden: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.lstm = BidirectionalLSTM(2 * inputs, hidden, num_layers, dropout=0)
        self.dropout = LockedDropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, T, F), T even -> (N, T/2, 2 hidden)
        x, lengths = x.unflatten(1, (-1, 2)).flatten(2), lengths // 2
        return self.dropout(self.lstm(x, lengths)), lengths


class Decoder(nn.Module):
    """Batch norm, two linear layers with batch norm and GELU, dropout, and a linear layer to the classes."""

    def __init__(self, inputs: int, width: int, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.norm0 = MaskedBatchNorm(inputs)
        self.linear1 = nn.Linear(inputs, width)
        self.norm1 = MaskedBatchNorm(width)
        self.linear2 = nn.Linear(width, width)
        self.norm2 = MaskedBatchNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, num_classes)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:  # (N, T, F) -> (N, T, K)
        real = layers.mask(lengths, x.shape[1])
        x = self.linear1(self.norm0(x.mT, real).mT)
        x = self.linear2(F.gelu(self.norm1(x.mT, real).mT))
        return self.head(self.dropout(F.gelu(self.norm2(x.mT, real).mT)))


class Model(nn.Module):
    """12,717,865 parameters at 27 features and 41 classes. T frames become T // 2 // 2.

    The input is padded to a multiple of four, so the output may be one frame longer than the longest sequence: 2,001 frames
    give 501, of which 500 are real. In the published network each pyramid drops an odd last frame, which leaves none of an
    utterance of one to three frames. The real frames are the same.

    num_layers: in each of the two LSTMs.
    """

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        features: int | None = None,
        hidden: int = 256,
        decoder: int = 2048,
        dropout: float = 0.2,
        num_layers: int = 2,
        kaiming: bool = False,
    ) -> None:
        super().__init__()
        self.features = layers.choose_features(features, num_features)
        self.conv = nn.Conv1d(self.features, 256, 3, padding=1, bias=False)
        self.norm = MaskedBatchNorm(256)
        self.pyramid1 = Pyramid(256, hidden, num_layers, dropout)
        self.pyramid2 = Pyramid(2 * hidden, hidden, num_layers, dropout)
        self.decoder = Decoder(2 * hidden, decoder, num_classes, dropout)
        if kaiming:
            layers.kaiming(self)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:  # (N, T, F), (N,)
        x = layers.take(x, lengths, self.features, multiple=4)
        x = self.norm(self.conv(x.mT), layers.mask(lengths, x.shape[1])).mT  # (N, T, 256)
        x, lengths = self.pyramid1(x, lengths)
        x, lengths = self.pyramid2(x, lengths)
        return self.decoder(x, lengths), lengths  # (N, T/4, K)
