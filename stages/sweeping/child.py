"""`python -m stages.sweeping.child exp run …`: run DVC, and interrupt it as by Ctrl-C when stdin closes.

The sweep holds the other end of stdin. So when the sweep closes it or is killed, the trial stops and its training saves its
state. The process must lead a process group, which is interrupted as a whole.
"""

import os
import signal
import sys
from threading import Thread

from dvc.cli import main


def _interrupt_on_close(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(0, signal.SIGINT)


if __name__ == "__main__":
    stdin = os.dup(0)  # not inherited by the stages
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    Thread(target=_interrupt_on_close, args=[stdin], daemon=True).start()
    sys.exit(main(sys.argv[1:]))
