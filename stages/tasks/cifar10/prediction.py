"""What a trained run says of a user's own images: each of the ten classes and its probability."""

from stages.images.prediction import SUFFIXES, describe, predict, read
