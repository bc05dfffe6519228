"""Folds of faces: what every image classifier has."""

from stages.images.folds import predict_test, score
