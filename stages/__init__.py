"""Each file here is a stage of dvc.yaml or a command; CONTRIBUTING.md shows the house."""

import os

# Whoever started this process, asked before anything slow is imported. If it was DVC, and DVC was killed, training notices.
PARENT = os.getppid()
