"""Evaluation on CIFAR-10: that of any image classifier."""

from stages.images.evaluation.classification import HEADLINES, evaluate
