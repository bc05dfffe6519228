"""What a trained run says of a user's own images: the most probable classes and their probabilities."""

from stages.images.prediction import SUFFIXES, describe, predict, read
