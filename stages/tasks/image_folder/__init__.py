"""Images of one's own in a folder for each class. A task of this kind needs no code: a block of params.yaml is enough."""

HEADER = ["id", "label"]  # of the submission file
