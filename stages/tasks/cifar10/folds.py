"""Folds of CIFAR-10, as for every image classifier."""

from stages.images.folds import predict_test, score
