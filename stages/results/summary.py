"""A network's summary: layers, parameters, multiply-adds and receptive field."""

from collections.abc import Sequence
from typing import Any

import torch
import torchinfo
from torch import Tensor, nn


def num_parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def receptive_field(model: nn.Module, example: Sequence[Tensor]) -> int:
    """Return the side, in input pixels, of the receptive field of the last feature map.

    Each layer with kernel k and dilation d adds (k - 1) d times the product of the strides before it (Araujo et al. 2019,
    doi:10.23915/distill.00021). Where branches meet, such as a block and its shortcut, the wider one counts. Only modules
    that are convolutions or max poolings count. example: the arguments of a call.
    """
    seen: dict[Any, tuple[int, int]] = {}  # field and stride after a layer, by its node in autograd's graph

    def reach(node: Any) -> tuple[int, int]:
        """Return the widest of the layers directly before `node`."""
        found, nodes, visited = [(1, 1)], [node], set()
        while nodes:
            node = nodes.pop()
            if node in seen:
                found.append(seen[node])
            elif node is not None and node not in visited:
                visited.add(node)
                nodes += [before for before, _ in node.next_functions]
        return max(found)

    def widen(layer: Any, inputs: Any, output: Tensor) -> None:
        field, jump = reach(inputs[0].grad_fn)
        kernel, stride, dilation = (
            value[0] if isinstance(value, tuple) else value for value in (layer.kernel_size, layer.stride, layer.dilation)
        )
        seen[output.grad_fn] = (field + (kernel - 1) * dilation * jump, jump * stride)

    kinds = (nn.Conv2d, nn.MaxPool2d)
    hooks = [layer.register_forward_hook(widen) for layer in model.modules() if isinstance(layer, kinds)]
    was_training, device = model.training, next(model.parameters()).device
    with torch.enable_grad():
        output = model.eval()(*(tensor.to(device) for tensor in example))
    model.train(was_training)
    for hook in hooks:
        hook.remove()
    return reach(output.grad_fn)[0]


def summarize(model: nn.Module, example: Sequence[Tensor], run: str) -> str:
    """Return torchinfo's table of layers and, for images, the receptive field. example: the arguments of a call."""
    columns = ("input_size", "kernel_size", "output_size", "num_params", "mult_adds")
    device = next(model.parameters()).device
    was_training = model.training
    table = torchinfo.summary(model, input_data=list(example), col_names=columns, depth=4, verbose=0, device=device)
    model.train(was_training)
    field = f"Receptive field: {receptive_field(model, example)} pixels\n" if example[0].ndim == 4 else ""
    return f"{run}\n{table}\n{field}"
