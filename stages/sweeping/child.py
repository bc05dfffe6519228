"""`python -m stages.sweeping.child exp run …`: DVC, interrupted as by Ctrl-C when its input ends.

The sweep holds the other end of the input. So a trial ends, and its training saves its state, when the sweep closes that,
and also when the sweep is killed. It must be the leader of a process group, which is interrupted as a whole.
"""

import os
import signal
import sys
from threading import Thread

from dvc.cli import main


def _interrupt_at_the_end_of(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGINT)


if __name__ == "__main__":
    kept = os.dup(0)  # which the stages do not inherit
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    Thread(target=_interrupt_at_the_end_of, args=[kept], daemon=True).start()
    sys.exit(main(sys.argv[1:]))
