"""Each file here is a stage of dvc.yaml or a command; CONTRIBUTING.md shows the house."""

import os

PARENT = os.getppid()  # asked before anything slow is imported


def is_orphan() -> bool:
    """Whether DVC started this process and was killed, so that the next `dvc repro` may start the same stage beside it."""
    return "DVC_ROOT" in os.environ and os.getppid() != PARENT
