"""A network in numbers: its layers as a table, its parameters, its multiply-adds and its receptive field."""

from collections.abc import Sequence
from typing import Any

import torch
import torchinfo
from torch import Tensor, nn


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def receptive_field(model: nn.Module, example: Sequence[Tensor]) -> int:
    """The side in input pixels that one position of the last feature map can see, for convolutions in a chain.

    Each layer of kernel k and dilation d adds (k - 1) d times the product of the strides before it (Araujo et al. 2019,
    doi:10.23915/distill.00021). A residual addition widens nothing. example: the arguments of a call.
    """
    field, jump = 1, 1

    def widen(layer: Any, inputs: Any, output: Any) -> None:
        nonlocal field, jump
        kernel, stride, dilation = (
            value[0] if isinstance(value, tuple) else value for value in (layer.kernel_size, layer.stride, layer.dilation)
        )
        field += (kernel - 1) * dilation * jump
        jump *= stride

    kinds = (nn.Conv2d, nn.MaxPool2d)
    hooks = [layer.register_forward_hook(widen) for layer in model.modules() if isinstance(layer, kinds)]
    was_training = model.training
    with torch.no_grad():
        model.eval()(*(tensor.to(next(model.parameters()).device) for tensor in example))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return field


def summarize(model: nn.Module, example: Sequence[Tensor], run: str) -> str:
    """torchinfo's table of the layers for one call with the arguments `example`; for images, the receptive field too."""
    columns = ("input_size", "kernel_size", "output_size", "num_params", "mult_adds")
    device = next(model.parameters()).device
    was_training = model.training
    table = torchinfo.summary(model, input_data=list(example), col_names=columns, depth=4, verbose=0, device=device)
    model.train(was_training)
    field = f"Receptive field: {receptive_field(model, example)} pixels\n" if example[0].ndim == 4 else ""
    return f"{run}\n{table}\n{field}"
