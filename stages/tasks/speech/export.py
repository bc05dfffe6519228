"""The export of the phoneme recognisers: from features to log-probabilities. N T F, K symbols.

Three parts of these networks cannot be exported as they are: nn.LSTM and the reversal of frames would be traced frame by
frame, for a fixed number of frames, and locked dropout makes PyTorch compare symbolic lengths. ONNX's LSTM operator reads
both ways within given lengths, like BidirectionalLSTM, and replaces it.
"""

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.exporting.card import About
from stages.exporting.onnx_graph import Graph, Port
from stages.sequences.training.layers import BidirectionalLSTM, LockedDropout
from stages.tasks.speech import MEL_BANDS
from stages.tasks.speech.statistics import Stats

ABOUT = About(
    title="which phonemes are said",
    result="Edits of phonemes: `distance` and `greedy` per utterance, the rates per true phoneme. `distance` decodes "
    "`log_probs` with a beam search, `greedy` takes the most probable symbol of each frame.",
    limits="It knows the phonemes of English. It needs the features that it was trained on, from the same front end; "
    "`stages/tasks/speech/raw/audio.py` computes 27 MFCCs of a recording. Ignore `log_probs` beyond an utterance's output "
    "length.",
    licences={
        "sample": "sentences written by this project and spoken by espeak-ng, under this project's MIT licence; "
        "espeak-ng's GPL does not extend to its speech.",
        "public": "LibriSpeech (Panayotov et al. 2015), CC BY 4.0, with pronunciations from CMUdict.",
        "kaggle": "the competition HW3P2 of CMU 11-785, under its rules.",
        "path": "the user's own archives, under their terms; LibriSpeech (Panayotov et al. 2015) is CC BY 4.0, the "
        "competition HW3P2 has its own rules.",
    },
)


class Recogniser(nn.Module):
    """(N, T, F), (N,) -> log-probabilities (N, T', K), lengths (N,) in the network's own frames."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        logits, lengths = self.model(features, lengths)
        return logits.log_softmax(2), lengths


class OnnxLSTM(nn.Module):
    """A BidirectionalLSTM as ONNX's operator, for traced graphs only. (N, T, F), (N,) -> (N, T, 2 hidden)."""

    def __init__(self, lstm: BidirectionalLSTM) -> None:
        super().__init__()
        layers: Any = list(zip(lstm.forwards, lstm.backwards, strict=True))
        self.hidden, self.num_layers = int(layers[0][0].hidden_size), len(layers)
        for number, layer in enumerate(layers):
            self.register_buffer(f"w{number}", torch.stack([_gates(way.weight_ih_l0) for way in layer]))
            self.register_buffer(f"r{number}", torch.stack([_gates(way.weight_hh_l0) for way in layer]))
            biases = [torch.cat((_gates(way.bias_ih_l0), _gates(way.bias_hh_l0))) for way in layer]
            self.register_buffer(f"b{number}", torch.stack(biases))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        num, num_frames, _ = x.shape
        x, lengths = x.transpose(0, 1), lengths.int()
        for number in range(self.num_layers):
            weights = [self.get_buffer(f"{kind}{number}") for kind in "wrb"]
            [y] = torch.onnx.ops.symbolic_multi_out(
                "LSTM",
                [x, *weights, lengths],
                attrs={"direction": "bidirectional", "hidden_size": self.hidden},
                dtypes=[x.dtype],
                shapes=[(num_frames, 2, num, self.hidden)],
            )
            x = y.transpose(1, 2).flatten(2)
        return x.transpose(0, 1)


def _gates(weight: Tensor) -> Tensor:
    """Reorder the gates from PyTorch's (input, forget, cell, output) to ONNX's (input, output, forget, cell)."""
    into, forget, cell, out = weight.detach().chunk(4)
    return torch.cat((into, out, forget, cell))


def portable(model: nn.Module) -> nn.Module:
    """Return a copy with ONNX's operators that computes the same."""
    model = copy.deepcopy(model)
    for name, layer in list(model.named_modules()):
        if isinstance(layer, BidirectionalLSTM):
            model.set_submodule(name, OnnxLSTM(layer))
        elif isinstance(layer, LockedDropout):
            model.set_submodule(name, nn.Identity())
    return model


def graph(model: nn.Module, stats: Stats) -> Graph:
    """Return the export of a trained network."""
    width = stats.num_features
    features = "mel bands" if width == MEL_BANDS else "mel-frequency cepstral coefficients"
    coefficients = (
        f"{width} {features} a frame, 100 frames a second; in each utterance, subtract each feature's mean and divide by "
        "its standard deviation plus 1e-6; pad at the end with any values"
    )
    return Graph(
        Recogniser(model).eval(),
        Recogniser(portable(model)).eval(),
        inputs=[
            Port("features", "float32", ("batch", "time", width), coefficients),
            Port("lengths", "int64", ("batch",), "the frames of each utterance, 1 to time"),
        ],
        outputs=[
            Port(
                "log_probs",
                "float32",
                ("batch", "output_time", len(stats.symbols)),
                "natural logarithms of the symbols' probabilities, for CTC decoding; symbol 0 is the blank",
            ),
            Port("output_lengths", "int64", ("batch",), "the frames of each utterance in `log_probs`"),
        ],
        example=_utterances(3, 53, width),
        trials=[_utterances(num, frames, width) for num, frames in ((1, 1), (2, 7), (5, 64), (3, 501))],
        labels=stats.symbols,
    )


def _utterances(num: int, num_frames: int, width: int) -> tuple[Tensor, Tensor]:
    """Return reproducible noise; the first utterance has all frames, the others a random number."""
    random = np.random.default_rng((num, num_frames, width))
    lengths = np.append(num_frames, random.integers(1, num_frames + 1, num - 1))
    return torch.from_numpy(random.standard_normal((num, num_frames, width), np.float32)), torch.from_numpy(lengths)
