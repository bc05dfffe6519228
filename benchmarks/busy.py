"""Training on a busy CPU with several settings for how OpenMP's threads wait: seconds per step.

    python -m benchmarks.busy [--rounds 5] [--seconds 1]

Each setting has two processes, which train small networks on synthetic tensors on request. Three states: idle, beside one
busy loop per core, and two trainings at once. Medians over rounds, in which the settings take turns. libgomp's default is
300,000: a waiting thread spins that often before it sleeps.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

DEFAULT = "GOMP_SPINCOUNT=300000"
SETTINGS = (DEFAULT, *(f"GOMP_SPINCOUNT={count}" for count in (1000, 300, 200, 100)), "OMP_WAIT_POLICY=passive")
STATES = ("idle", "busy loops", "two at once")
NETWORKS = ("pblstm", "custom_resnet", "resnet50")
WARM_UP = 3  # steps that are not timed


def build(network: str) -> Callable[[], None]:
    """Return a function that takes a training step of a small network on a fixed batch."""
    import torch
    from torch import Tensor
    from torch.nn import functional as F

    from stages.images.models import custom_resnet, resnet50
    from stages.sequences.models import pblstm

    torch.manual_seed(0)
    model: torch.nn.Module
    if network == "pblstm":
        model = pblstm.Model(27, 41, hidden=64, decoder=256)
        inputs, lengths = torch.randn(16, 300, 27), torch.linspace(300, 100, 16).long()
        targets, target_lengths = torch.randint(1, 41, (16, 20)), torch.full((16,), 20)
    else:
        model = custom_resnet.Model(10, width=16) if network == "custom_resnet" else resnet50.Model(100, width=16)
        inputs = torch.randn(32, 3, *((32, 32) if network == "custom_resnet" else (64, 64)))
        inputs = inputs.to(memory_format=torch.channels_last)
        targets = torch.randint(0, 10, (32,))
    model = model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def loss() -> Tensor:
        if network == "pblstm":
            logits, frames = model(inputs, lengths)
            return F.ctc_loss(logits.log_softmax(2).transpose(0, 1), targets, frames, target_lengths)
        return F.cross_entropy(model(inputs), targets)

    def step() -> None:
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def serve() -> None:
    """For each line `network seconds` of stdin, train for that time and print the seconds per step."""
    steps = {network: build(network) for network in NETWORKS}
    for step, _ in itertools.product(steps.values(), range(WARM_UP)):
        step()
    print("ready", flush=True)
    for line in sys.stdin:
        network, seconds = line.split()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < float(seconds):
            steps[network]()
            count += 1
        print((time.perf_counter() - start) / count, flush=True)


class Trainer:
    """A process that trains under one setting and sleeps between requests."""

    def __init__(self, setting: str) -> None:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("OMP_", "GOMP_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.busy", "--serve"],
            env=environment | dict([setting.split("=")]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, network: str, seconds: float) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{network} {seconds}\n")
        self.process.stdin.flush()

    def read(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def step_seconds(trainers: list[Trainer], network: str, seconds: float) -> float:
    """Return the seconds per step of the slowest of the trainers, which start together."""
    for trainer in trainers:
        trainer.ask(network, seconds)
    return max(float(trainer.read()) for trainer in trainers)


def measure(rounds: int, seconds: float) -> list[dict[str, Any]]:
    """Return a row for each network and setting with the median milliseconds per step in each state."""
    pairs = {setting: [Trainer(setting), Trainer(setting)] for setting in SETTINGS}
    for trainer in itertools.chain(*pairs.values()):
        trainer.read()  # wait until it is ready
    found: dict[tuple[str, str, str], list[float]] = {key: [] for key in itertools.product(NETWORKS, SETTINGS, STATES)}
    for _, (network, setting, state) in itertools.product(range(rounds), found):
        trainers = pairs[setting] if state == "two at once" else pairs[setting][:1]
        with busy_loops(os.cpu_count() or 1 if state == "busy loops" else 0):
            found[network, setting, state].append(1000 * step_seconds(trainers, network, seconds))
    for trainer in itertools.chain(*pairs.values()):
        trainer.process.communicate()  # closes stdin, which ends the process
    rows = []
    for network, setting in itertools.product(NETWORKS, SETTINGS):
        medians = {state: statistics.median(found[network, setting, state]) for state in STATES}
        cells = ", ".join(f"{state} {value:.1f}" for state, value in medians.items())
        print(f"{network}, {setting}: ms a step {cells}", flush=True)
        rows.append({"network": network, "setting": setting} | medians)
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of training in each measurement")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
    else:
        measure(arguments.rounds, arguments.seconds)
