"""The networks, counted, and held to what they owe an utterance: the same output whatever it is batched with."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from stages.compute.device import seed_torch
from stages.core.errors import InputError
from stages.results.summary import num_parameters
from stages.sequences.models import bilstm, conv_bilstm, convnext1d, pblstm
from stages.sequences.training.batch_norm import MaskedBatchNorm
from stages.sequences.training.layers import BidirectionalLSTM, LockedDropout, mask

SMALL: dict[str, Callable[..., nn.Module]] = {
    "pblstm": lambda num_features, **more: pblstm.Model(num_features, 41, hidden=8, decoder=16, **more),
    "bilstm": lambda num_features, **more: bilstm.Model(num_features, 41, hidden=8, num_layers=2, **more),
    "conv_bilstm": lambda num_features, **more: conv_bilstm.Model(num_features, 41, hidden=8, num_layers=2, **more),
    "convnext1d": lambda num_features, **more: convnext1d.Model(num_features, 41, width=4, **more),
}
LENGTHS: dict[str, Callable[[int], int]] = {
    "pblstm": lambda num_frames: num_frames // 2 // 2,
    "bilstm": lambda num_frames: (num_frames - 1) // 2 + 1,
    "conv_bilstm": lambda num_frames: num_frames // 8,
    "convnext1d": lambda num_frames: (num_frames // 2 - 1) // 2 + 1,
}
each_network = pytest.mark.parametrize("name", SMALL)


def utterances(lengths: list[int], num_features: int = 13) -> list[Tensor]:
    return [torch.randn(length, num_features) for length in lengths]


def small(name: str, num_features: int = 13, **more: Any) -> nn.Module:
    """A small network after one step's worth of statistics, so that its batch norms do something in evaluation."""
    seed_torch(0)
    model = SMALL[name](num_features, **more)
    model(torch.randn(4, 40, num_features) + 1, torch.tensor([40, 33, 25, 17]))
    return model.eval()


@pytest.mark.parametrize(
    ("model", "num_features", "expected"),
    [
        (pblstm.Model, 27, 12_717_865),
        (bilstm.Model, 13, 6_755_625),
        (conv_bilstm.Model, 13, 23_221_737),
        (convnext1d.Model, 13, 26_080_937),
    ],
)
def test_the_networks_are_the_assignments(model: Any, num_features: int, expected: int) -> None:
    with torch.device("meta"):
        built = model(num_features, 41)
    assert num_parameters(built) == expected
    assert f"{expected:,} parameters" in model.__doc__


@each_network
def test_an_utterance_gives_the_same_output_alone_and_in_any_batch(name: str) -> None:
    model = small(name)
    items = utterances([*range(1, 20), 61, 34])
    x, lengths = pad_sequence(items, batch_first=True), torch.tensor([len(item) for item in items])
    wild = torch.where(mask(lengths, x.shape[1]).unsqueeze(2), x, 1e3)  # nor may it matter what the padding holds
    with torch.no_grad():
        together, lengths_together = model(x, lengths)
        torch.testing.assert_close(model(wild, lengths)[0], together)
        for item, output, length in zip(items, together, lengths_together.tolist(), strict=True):
            alone, [length_alone] = model(item.unsqueeze(0), torch.tensor([len(item)]))
            assert length == length_alone == LENGTHS[name](len(item)) <= alone.shape[1]
            torch.testing.assert_close(alone[0, :length], output[:length], rtol=0, atol=1e-5)


@each_network
def test_the_gradient_of_padding_is_zero(name: str) -> None:
    model, lengths = small(name).train(), torch.tensor([37, 64, 18])
    x = torch.randn(3, 64, 13, requires_grad=True)
    output, output_lengths = model(x, lengths)
    (output * mask(output_lengths, output.shape[1]).unsqueeze(2)).square().sum().backward()
    assert x.grad is not None
    assert (x.grad[~mask(lengths, 64)] == 0).all()
    assert all(part.abs().sum() > 0 for part in x.grad)


@each_network
def test_training_survives_short_utterances_and_bf16(name: str) -> None:
    model = small(name).train()
    for lengths in ([1], [1, 2, 3, 4, 5, 6, 7, 8]):
        x = torch.randn(len(lengths), max(lengths), 13)
        with torch.autocast("cpu", torch.bfloat16):
            output, _ = model(x, torch.tensor(lengths))
        output.float().square().sum().backward()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in model.parameters())


@each_network
def test_a_network_takes_the_first_features(name: str) -> None:
    wide, narrow = small(name, 27, features=13), small(name, 13)
    narrow.load_state_dict(wide.state_dict())
    x, lengths = torch.randn(2, 40, 27), torch.tensor([40, 31])
    with torch.no_grad():
        assert torch.equal(wide(x, lengths)[0], narrow(x[..., :13], lengths)[0])


@each_network
def test_more_features_than_the_data_have_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"model\.features: 27 wanted, but the data have 13"):
        SMALL[name](13, features=27)


def test_kaiming_changes_the_convolutions_and_linear_layers() -> None:
    seed_torch(0)
    weight = bilstm.Model(13, 41, hidden=128, num_layers=1, kaiming=True).residual.conv1.weight
    assert weight.std().item() == pytest.approx((2 / (3 * 128)) ** 0.5, rel=0.02)


@pytest.mark.parametrize(  # in training, rows are read in two parts
    ("num_layers", "lengths", "is_training"), [(3, [9, 1, 12, 4], True), (1, [12, 0, 0], True), (3, [12, 9, 1], False)]
)
def test_the_bidirectional_lstm_is_pytorchs_on_packed_sequences(
    num_layers: int, lengths: list[int], is_training: bool
) -> None:
    seed_torch(0)
    packed = nn.LSTM(5, 7, num_layers, batch_first=True, bidirectional=True)
    ours = BidirectionalLSTM(5, 7, num_layers, dropout=0.0 if is_training else 0.5).train(is_training)
    assert num_parameters(ours) == num_parameters(packed)
    pairs = []  # (ours, theirs)
    for layer in range(num_layers):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            pairs.append((ours.forwards[layer].get_parameter(f"{part}_l0"), packed.get_parameter(f"{part}_l{layer}")))
            pairs.append(
                (ours.backwards[layer].get_parameter(f"{part}_l0"), packed.get_parameter(f"{part}_l{layer}_reverse"))
            )
    with torch.no_grad():
        for mine, theirs in pairs:
            mine.copy_(theirs)
    real = torch.tensor(lengths)
    x, weights = torch.randn(len(real), 12, 5, requires_grad=True), torch.randn(len(real), 12, 14)
    y = ours(x, real)
    sequences = pack_padded_sequence(x, real.clamp(min=1), batch_first=True, enforce_sorted=False)
    padded, _ = pad_packed_sequence(packed(sequences)[0], batch_first=True, total_length=12)
    expected = padded.masked_fill(~mask(real, 12).unsqueeze(2), 0)  # PyTorch packs nothing without a frame
    torch.testing.assert_close(y, expected, rtol=0, atol=1e-5)

    inputs = [x, *(mine for mine, _ in pairs)], [x, *(theirs for _, theirs in pairs)]
    gradients = torch.autograd.grad((y * weights).sum(), inputs[0])
    for gradient, other in zip(gradients, torch.autograd.grad((expected * weights).sum(), inputs[1]), strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-5, atol=1e-5)


def test_the_bidirectional_lstm_drops_between_layers_but_not_after_the_last() -> None:
    seed_torch(0)
    x, lengths = torch.randn(2, 6, 3), torch.tensor([6, 4])
    single, double = BidirectionalLSTM(3, 4, 1, dropout=0.5), BidirectionalLSTM(3, 4, 2, dropout=0.5)
    assert torch.equal(single(x, lengths), single(x, lengths))
    assert not torch.equal(double(x, lengths), double(x, lengths))
    assert (double(x, lengths)[mask(lengths, 6)] != 0).all()


def test_masked_batch_norm_is_pytorchs_on_the_real_frames() -> None:
    seed_torch(0)
    ours, theirs = MaskedBatchNorm(3).double(), nn.BatchNorm1d(3).double()
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    ours.load_state_dict(theirs.state_dict())
    real = mask(torch.tensor([5, 0, 8, 1]), 8)

    def compare() -> None:
        x = (3 + 2 * torch.randn(4, 3, 8, dtype=torch.float64)).requires_grad_()
        weights = torch.randn_like(x)
        y, expected = ours(x, real), torch.zeros_like(x).mT
        expected[real] = theirs(x.mT[real])
        torch.testing.assert_close(y, expected.mT)
        gradients = (
            torch.autograd.grad((output * weights).sum(), [x, norm.weight, norm.bias])
            for output, norm in ((y + x, ours), (expected.mT + x, theirs))  # the sum's gradient is of two, and of neither
        )
        for gradient, other in zip(*gradients, strict=True):
            torch.testing.assert_close(gradient, other)
        torch.testing.assert_close(ours.state_dict(), theirs.state_dict())

    for _ in range(3):
        compare()
    ours.eval()
    theirs.eval()
    compare()


def test_locked_dropout_is_constant_over_time_and_differs_between_utterances() -> None:
    seed_torch(0)
    x, dropout = torch.ones(4, 6, 50), LockedDropout(0.2)
    y = dropout(x)
    assert (y == y[:, :1]).all()
    assert not torch.equal(y[0], y[1])
    assert set(y.unique().tolist()) == {0, 1.25}
    assert torch.equal(dropout.eval()(x), x)
