"""Training on CIFAR-10: that of any image classifier."""

from stages.images.training.classifier import (
    SCORE,
    TRAIN_METRIC,
    build_model,
    eval_batches,
    example,
    forward,
    loss,
    score,
    train_batches,
    train_metric,
)
