"""A user's images in a folder for each class. A task of this kind needs only a block of params.yaml, no code."""

HEADER = ["id", "label"]  # of the submission file
