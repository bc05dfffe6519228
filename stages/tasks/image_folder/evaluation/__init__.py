"""Evaluation on a folder of images: that of any image classifier."""

from stages.images.evaluation.classification import HEADLINES, evaluate
