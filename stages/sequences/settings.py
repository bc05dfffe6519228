"""The networks' keys of params.yaml that tasks on sequences share. Torch-free."""

from dataclasses import dataclass
from typing import Annotated, Literal

from stages.config.check import PositiveInt, Share
from stages.config.schema import Depths, Network


@dataclass(frozen=True, kw_only=True)
class SequenceNetwork(Network):
    features: PositiveInt | None = None  # use only the first features of each frame; null: all


@dataclass(frozen=True)
class PBLSTM(SequenceNetwork):
    name: Literal["pblstm"]
    hidden: PositiveInt
    decoder: PositiveInt
    dropout: Annotated[float, Share]
    num_layers: PositiveInt = 2  # in each of the two LSTMs
    kaiming: bool = False


@dataclass(frozen=True)
class BiLSTM(SequenceNetwork):
    name: Literal["bilstm"]
    hidden: PositiveInt
    num_layers: PositiveInt
    dropout: Annotated[float, Share]
    kaiming: bool = True


@dataclass(frozen=True)
class ConvBiLSTM(SequenceNetwork):
    name: Literal["conv_bilstm"]
    hidden: PositiveInt
    num_layers: PositiveInt
    dropout: Annotated[float, Share]
    conv_dropout: Annotated[float, Share]
    kaiming: bool = False


@dataclass(frozen=True)
class ConvNeXt1d(SequenceNetwork):
    name: Literal["convnext1d"]
    width: PositiveInt
    depths: Depths = (3, 3, 9, 3)


Model = PBLSTM | BiLSTM | ConvBiLSTM | ConvNeXt1d
