"""A trained run's answers for a user's images: the probabilities of the ten classes."""

from stages.images.prediction import SUFFIXES, describe, predict, read
