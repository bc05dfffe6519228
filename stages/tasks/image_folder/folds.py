"""Folds of a folder of images, as for every image classifier."""

from stages.images.folds import predict_test, score
