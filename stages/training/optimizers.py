"""Optimizers: PyTorch's own, by the name and the arguments that their settings have."""

import dataclasses

import torch
from torch import nn

from stages.config.schema import Optimizer, OptimizerSettings

SHARED = {"name", *(field.name for field in dataclasses.fields(OptimizerSettings))}


def build_optimizer(settings: Optimizer, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """The class of torch.optim that is called as the settings' class, with their fields as its arguments."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}]
    if not settings.decay_norms_and_biases:
        # As in GPT-2 and ConvNeXt: what has one dimension is a bias, or a scale of a norm or of a layer.
        groups = [
            {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]
    arguments = {key: value for key, value in vars(settings).items() if key not in SHARED}
    if weights[0].is_cuda:
        arguments["fused"] = True  # or the host would wait, at every step, for what the loss scaler found on the device
    optimizer: torch.optim.Optimizer = getattr(torch.optim, type(settings).__name__)(groups, lr=lr, **arguments)
    return optimizer
