"""A folder of images in full: what every image classifier has."""

from stages.images.evaluation.classification import HEADLINES, evaluate
