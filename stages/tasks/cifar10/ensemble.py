"""Ensembles for CIFAR-10: what every image classifier has."""

from stages.images.ensemble import combine
