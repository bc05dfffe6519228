"""What training on CIFAR-10 needs: what every image classifier does."""

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
