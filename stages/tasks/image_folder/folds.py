"""Folds of a folder of images: what every image classifier has."""

from stages.images.folds import predict_test, score
