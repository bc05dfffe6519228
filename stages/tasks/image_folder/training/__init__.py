"""Training on a folder of images: that of any image classifier."""

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
