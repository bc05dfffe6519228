"""A trained run's answers for a user's images: the most probable classes and their probabilities."""

from stages.images.prediction import SUFFIXES, describe, predict, read
