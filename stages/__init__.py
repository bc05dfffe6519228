"""Each file here is a stage of dvc.yaml or a command; CONTRIBUTING.md shows the house."""

import os

# GNU OpenMP's threads spin for milliseconds while they wait for one another. Beside other work that makes a training several
# times slower. A short spin costs an idle machine little (docs/PERFORMANCE.md). It has to be set before torch is imported.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["GOMP_SPINCOUNT"] = "200"

PARENT = os.getppid()  # asked before anything slow is imported


def is_orphan() -> bool:
    """Whether DVC started this process and was killed, so that the next `dvc repro` may start the same stage beside it."""
    return "DVC_ROOT" in os.environ and os.getppid() != PARENT
