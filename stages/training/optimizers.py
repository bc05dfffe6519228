"""Optimizers by name."""

import torch
from torch import nn

from stages.config import schema


def build_optimizer(optimizer: schema.Optimizer, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """SGD, Adam (weight decay as an L2 penalty) or AdamW (decoupled)."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    fused = weights[0].device.type in ("cuda", "cpu")  # all in one pass; on a CPU Adam's step takes 0.4 of the time
    match optimizer.name:
        case "sgd":
            return torch.optim.SGD(
                weights,
                lr=lr,
                momentum=optimizer.momentum,
                nesterov=optimizer.nesterov,
                weight_decay=optimizer.weight_decay,
                fused=fused,
            )
        case "adam" | "adamw":
            kind = torch.optim.Adam if optimizer.name == "adam" else torch.optim.AdamW
            betas = (optimizer.momentum, 0.999)
            return kind(weights, lr=lr, betas=betas, weight_decay=optimizer.weight_decay, fused=fused)
