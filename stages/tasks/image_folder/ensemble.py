"""Ensembles for a folder of images: what every image classifier has."""

from stages.images.ensemble import combine
