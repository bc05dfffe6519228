"""A fake GPU: tensors with shapes, types and a device but no data, by PyTorch's FakeTensorMode."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from stages.config.schema import Run
from stages.data.statistics import Stats

CUDA = torch.device("cuda:0")


@contextmanager
def fake_gpu() -> Iterator[None]:
    """Allow CUDA tensors and CUDA autocast in the block, without a backward pass, cuDNN and CTC."""
    with (
        warnings.catch_warnings(action="ignore"),  # about the missing driver
        patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),  # or autocast does nothing
        patch("torch.cuda.is_bf16_supported", lambda: True),
        torch.backends.cudnn.flags(enabled=False),
        FakeTensorMode(),
    ):
        yield


def fake_network(task: ModuleType, run: Run, stats: Stats) -> nn.Module:
    """Build the run's network on the fake GPU, with channels-last convolutions."""
    with unset_fake_temporarily(), torch.device("meta"):  # without random weights
        model: nn.Module = task.build_model(run, stats)
    for module in model.modules():
        for name, old in module._parameters.items():
            if old is not None:
                layout = torch.channels_last if old.ndim == 4 else torch.contiguous_format
                module._parameters[name] = nn.Parameter(torch.empty(old.shape, device=CUDA, memory_format=layout))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.empty(buffer.shape, dtype=buffer.dtype, device=CUDA)
    return model
