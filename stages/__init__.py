"""Each file here is a stage of dvc.yaml or a command; CONTRIBUTING.md has the map."""

import os

# GNU OpenMP's threads busy-wait for milliseconds, which slows training several times on a busy machine. A short spin costs
# an idle machine little (docs/PERFORMANCE.md). It must be set before torch is imported.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    os.environ["GOMP_SPINCOUNT"] = "200"

PARENT = os.getppid()  # read before the slow imports


def is_orphan() -> bool:
    """Whether the DVC that started this process has died. The next `dvc repro` may then run the same stage beside it."""
    return "DVC_ROOT" in os.environ and os.getppid() != PARENT
