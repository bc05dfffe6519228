"""`python -m tests.soak.ranks`: several processes, one of which dies, and two hosts that share no disk.

- one of two processes is killed: the job ends soon, and the next start continues;
- the same under torchrun's --max-restarts: the job continues by itself;
- for each task two hosts, which are two network namespaces with a c10d rendezvous (where `ip netns` is allowed).
Each takes its batches in two parts, and ends with the weights of two processes that nothing happened to, bit for bit.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import Checkout
from tests.soak import checkout
from tests.soak.kills import EVERY_STEP, command, processes

KILLED = "bilstm"
TWO = "torchrun --standalone --nproc-per-node=2"
HOSTS = {"soak0": "10.213.0.1", "soak1": "10.213.0.2"}


def main() -> None:
    parser = argparse.ArgumentParser("python -m tests.soak.ranks", description=__doc__.split("\n")[0])
    parser.add_argument("runs", nargs="*", default=list(checkout.RUNS), help="of the runs in tests/soak/checkout.py")
    runs = parser.parse_args().runs
    failed = []
    with tempfile.TemporaryDirectory() as name:
        for run in runs:
            untrained, expected = prepare(Path(name) / run, run)
            for trial in (next_start, by_itself, hosts) if run == KILLED else (hosts,):
                began = time.monotonic()
                told, found = trial(copy(untrained, trial.__name__), run)
                equal = found in (expected, None)
                failed += [] if equal else [f"{run} {trial.__name__}"]
                verdict = "" if found is None else "; the same weights" if equal else "; OTHER WEIGHTS"
                print(f"{run}, {trial.__name__}: {told}{verdict} ({time.monotonic() - began:.0f} s)", flush=True)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def prepare(folder: Path, run: str) -> tuple[Checkout, str]:
    """Return the project before its training, and the weights that two processes on one host reach undisturbed."""
    in_parts = {f"runs__{run}__train__accumulate": 2}
    untrained = checkout.make(folder / "untrained", run, launcher=TWO, checkpoint_minutes=EVERY_STEP, **in_parts)
    untrained.run(f"dvc repro find_lr@{run}")
    whole = copy(untrained, "whole")
    whole.run(f"dvc repro evaluate@{run}")
    return untrained, weights(whole, run)


def copy(project: Checkout, name: str) -> Checkout:
    return Checkout(Path(shutil.copytree(project.folder, project.folder.parent / name, symlinks=True)))


def weights(project: Checkout, run: str) -> str:
    return str(json.loads((project.folder / f"metrics/{run}/evaluate.json").read_text())["weights_sha256"])


def next_start(project: Checkout, run: str) -> tuple[str, str]:
    dvc, log = start(project, run)
    kill_one(dvc, log)
    died = time.monotonic()
    code = dvc.wait(60)
    seconds = time.monotonic() - died
    if code == 0 or any(command(pid) for pid in processes(dvc.pid)):
        raise SystemExit(f"the job did not end: exit code {code}")
    told = project.run(f"dvc repro evaluate@{run}")
    [line] = [line for line in told.splitlines() if line.startswith("continuing")]
    return f"ended {seconds:.1f} s after the kill, then {line!r}", weights(project, run)


def by_itself(project: Checkout, run: str) -> tuple[str, str]:
    launcher = project.folder / "params.yaml"
    launcher.write_text(launcher.read_text().replace(TWO, f"{TWO} --max-restarts=2"))
    dvc, log = start(project, run)
    kill_one(dvc, log)
    if dvc.wait(300) != 0:
        raise SystemExit(f"not restarted:\n{log.read_text()}")
    [line] = [line for line in log.read_text().splitlines() if line.startswith("continuing")]
    return f"restarted, {line!r}", weights(project, run)


def start(project: Checkout, run: str) -> tuple[subprocess.Popen[bytes], Path]:
    """A training, to be killed."""
    log = project.folder.parent / f"{project.folder.name}.log"
    with log.open("w") as out:
        dvc = subprocess.Popen(
            ["bash", "-c", f"exec dvc repro evaluate@{run}"],
            cwd=project.folder, env=project.environment() | {"PYTHONUNBUFFERED": "1"}, stdout=out, stderr=out,
            start_new_session=True,
        )  # fmt: skip
    return dvc, log


def kill_one(dvc: subprocess.Popen[bytes], log: Path) -> None:
    """SIGKILL to the process of rank 1, in the third epoch."""
    while "epoch 2/" not in log.read_text():
        if dvc.poll() is not None:
            raise SystemExit(f"ended too early:\n{log.read_text()}")
        time.sleep(0.02)
    ranks = [
        pid for pid in all_processes() if "-m stages.train" in command(pid) and b"\0RANK=1\0" in environment(pid, dvc.pid)
    ]
    for pid in ranks:
        os.kill(pid, signal.SIGKILL)
    if len(ranks) != 1:
        raise SystemExit(f"{len(ranks)} processes of rank 1")


def all_processes() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").glob("[0-9]*")]


def environment(pid: int, ancestor: int) -> bytes:
    """The environment of a process below `ancestor`, else nothing. (torchrun gives its workers sessions of their own.)"""
    try:
        above = pid
        while above not in (0, 1, ancestor):
            above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
        return b"\0" + Path(f"/proc/{pid}/environ").read_bytes() if above == ancestor else b""
    except (FileNotFoundError, ProcessLookupError):
        return b""


def hosts(project: Checkout, run: str) -> tuple[str, str | None]:
    """One process on each of two hosts, each with a folder of its own."""
    if not lay_cable():
        return "skipped, for `ip netns` is not allowed here", None
    copies = {"soak0": project, "soak1": Checkout(Path(shutil.copytree(project.folder, project.folder.parent / "host1")))}
    try:
        running = [
            subprocess.Popen(
                ["ip", "netns", "exec", host, "torchrun", "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d",
                 "--rdzv-id=soak", f"--rdzv-endpoint={HOSTS['soak0']}:29400", f"--rdzv-conf=is_host={int(host == 'soak0')}",
                 f"--local-addr={address}",
                 "-m", "stages.train", run],
                cwd=copies[host].folder,
                env=project.environment() | {"GLOO_SOCKET_IFNAME": host, "OMP_NUM_THREADS": "1"},
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for host, address in HOSTS.items()
        ]  # fmt: skip
        told = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "del", host], check=False)
    if any(process.returncode for process in running):
        raise SystemExit("\n".join(text[-2000:] for text in told))
    [first] = [host for host, text in zip(HOSTS, told, strict=True) if "2 processes" in text]
    copies[first].run(f"python -m stages.evaluate {run}")
    return f"{HOSTS[first]} was the first process and wrote", weights(copies[first], run)


def lay_cable() -> bool:
    """Two network namespaces and a virtual cable between them."""
    [(one, its), (other, others)] = HOSTS.items()
    steps = [f"ip netns add {one}", f"ip netns add {other}"]
    steps += [f"ip -n {one} link add {one} type veth peer name {other} netns {other}"]
    for host, address in ((one, its), (other, others)):
        steps += [f"ip -n {host} addr add {address}/24 dev {host}", f"ip -n {host} link set {host} up"]
        steps += [f"ip -n {host} link set lo up"]
    return all(subprocess.run(step.split(), capture_output=True, check=False).returncode == 0 for step in steps)


if __name__ == "__main__":
    main()
