"""Ensembles for CIFAR-10: those of any image classifier."""

from stages.images.ensemble import combine
