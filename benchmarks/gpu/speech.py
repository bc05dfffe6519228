"""pblstm: real frames per second, without padding, and the extrapolated time of an epoch of LibriSpeech's train-clean-100.

That has 28,539 utterances and 36 million frames; an eighth of it is synthesised. The project's LSTM, two one-way ones on
padded frames, is compared with cuDNN's bidirectional LSTM on packed sequences, which gives the same results, and on padded
frames, which does not, as its backward direction begins in the padding.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks import features
from benchmarks.gpu import steps
from benchmarks.gpu.sizes import Sizes, at_size
from stages.config.schema import Params

RUN = "pblstm"
EPOCH = 36_000_000  # frames of train-clean-100, 100 hours


class CudnnLSTM(nn.Module):
    """PyTorch's bidirectional nn.LSTM instead of the project's; (N, T, F) -> (N, T, 2 hidden)."""

    def __init__(self, inputs: int, hidden: int, *, is_packed: bool) -> None:
        super().__init__()
        self.is_packed = is_packed
        self.lstm = nn.LSTM(inputs, hidden, num_layers=2, bidirectional=True, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        if not self.is_packed:
            output: Tensor = self.lstm(x)[0]
            return output
        packed = pack_padded_sequence(x, lengths.cpu().clamp(min=1), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=x.shape[1])[0]


def use_cudnn(*, is_packed: bool) -> Callable[[nn.Module], None]:
    """Return a function that replaces a pblstm's LSTMs by CudnnLSTM."""

    def change(model: nn.Module) -> None:
        for pyramid in (model.get_submodule("pyramid1"), model.get_submodule("pyramid2")):
            layer = pyramid.get_submodule("lstm.forwards.0")
            assert isinstance(layer, nn.LSTM)
            pyramid.lstm = CudnnLSTM(layer.input_size, layer.hidden_size, is_packed=is_packed)

    return change


def measure(params: Params, device: str, sizes: Sizes) -> dict[str, Any]:
    model = {"hidden": sizes.speech_hidden, "decoder": sizes.speech_decoder}
    params = at_size(params, RUN, batch_size=sizes.speech_batch, model=model)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data, found["frames made"] = features.speech(Path(folder) / "speech", sizes.speech_utterances)
        for name, deterministic, change in (
            ("ours, deterministic", True, lambda _: None),
            ("ours", False, lambda _: None),
            ("packed two-way", False, use_cudnn(is_packed=True)),
            ("padded two-way", False, use_cudnn(is_packed=False)),
        ):
            compute = steps.choose(device, params, deterministic=deterministic)
            trainer = steps.Trainer(params, RUN, compute, data, change)
            rate = trainer.throughput(trainer.endless(), sizes, lambda batch: batch.lengths.sum())
            found[name] = {"frames a second": rate, "seconds an epoch, extrapolated": EPOCH / rate}
    return found


def lines(found: dict[str, Any]) -> list[str]:
    text = [f"pblstm, LibriSpeech-like lengths, {found['frames made']:,} frames made up; epochs of {EPOCH:,} extrapolated"]
    for name, row in found.items():
        if isinstance(row, dict):
            seconds = row["seconds an epoch, extrapolated"]
            text.append(f"  {name}: {row['frames a second']:,.0f} real frames a second, {seconds:.1f} s an epoch")
    return text
