"""PyTorch's optimizers, built from their settings."""

import dataclasses

import torch
from torch import nn

from stages.config.schema import Optimizer, OptimizerSettings

SHARED = {"name", *(field.name for field in dataclasses.fields(OptimizerSettings))}


def build_optimizer(settings: Optimizer, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Build the torch.optim class with the name of the settings' class; the other fields are its arguments."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}]
    if not settings.decay_norms_and_biases:
        # As in GPT-2 and ConvNeXt: one-dimensional parameters are biases, or scales of norms and layers.
        groups = [
            {"params": [weight for weight in weights if weight.ndim > 1], "weight_decay": settings.weight_decay},
            {"params": [weight for weight in weights if weight.ndim <= 1], "weight_decay": 0.0},
        ]
    arguments = {key: value for key, value in vars(settings).items() if key not in SHARED}
    if weights[0].is_cuda:
        arguments["fused"] = True  # otherwise the host waits at every step for the loss scaler's result on the device
    optimizer: torch.optim.Optimizer = getattr(torch.optim, type(settings).__name__)(groups, lr=lr, **arguments)
    return optimizer
