"""The stages, each by its own `main`, in small projects of generated data: what each costs.

A stage runs in a process forked from this one, in which all is imported and was run once. Measured from outside: CPU
seconds of that process and its workers, on one core; the most memory that it has held for itself above what it began with
(pages of mapped files are not counted, as the system takes them back when it needs them); bytes below its outputs.

Utterances: flac of 12 s and 33 words in a tar.gz, from a server on this machine; a tenth of the speakers is dev, a tenth
test. Faces: JPEGs of 224 x 224, 20 kB each, in a zip; for 4 that are trained on, one in dev and one in test. Tiny ones, of
which there can be many: 0.3 s, and 16 x 16. The networks are so narrow that the data are most of the work: pblstm,
hidden 16; resnet50, width 2. Batches of 16, a range test of a quarter of an epoch.
"""

import ctypes
import gc
import hashlib
import http.server
import io
import multiprocessing
import os
import resource
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import albumentations  # noqa: F401  # which every worker would import for itself
import cv2
import numpy as np
import soundfile
import torch
from ruamel.yaml import YAML

from benchmarks.normalize import RATE, make_jpegs, make_waves
from stages.config.schema import Run
from stages.core import paths
from stages.core.errors import InputError
from stages.data.archive import write_member
from stages.tasks import load_params
from stages.tasks.speech import public

STAGES = ("download", "normalize", "find_lr", "train", "evaluate", "submit")
RUNS = {"speech": "pblstm", "faces": "resnet50"}
BATCH, IDENTITIES, SPEAKERS = 16, 50, 10
SEARCHED = 0.25  # of an epoch, in a range test
WORDS = "IT WAS THE BEST OF TIMES IT WAS THE WORST OF TIMES IT WAS THE AGE OF WISDOM IT WAS THE AGE OF FOOLISHNESS " * 2
NUM_WORDS, TINY_SECONDS, TINY_SIDE = 33, 0.3, 16
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cost:
    """CPU seconds, and MB of memory and on disk."""

    seconds: float
    memory: float
    disk: float


class Project:
    """A project in `folder`, its source an archive that `server` serves from the folder above.

    num: utterances in all, or images to train on. tiny: items of next to no content.
    """

    def __init__(self, folder: Path, server: str, task: str, num: int, *, tiny: bool = False) -> None:
        self.folder, self.task, self.run, self.num = folder, task, RUNS[task], num
        archive = folder / ("generated.tar.gz" if task == "speech" else "generated.zip")
        folder.mkdir()
        write = _write_utterances if task == "speech" else _write_faces
        watch(partial(write, archive, num, tiny=tiny))  # elsewhere: what is freed here, stages could use again, unseen
        with archive.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self._public = f"{server}/{folder.name}/{archive.name}", f"sha256:{digest}"
        with (folder / "params.yaml").open("w") as file:
            YAML(typ="safe").dump(_params(task, num, archive.name), file)

    def do(self, stage: str) -> None:
        """Run a stage in this process, which stays in the folder."""
        os.chdir(self.folder)
        public.PUBLIC["generated"] = self._public
        if stage == "train":  # at no rate that so short a range test has found
            paths.lr(self.run).parent.mkdir(parents=True, exist_ok=True)
            paths.lr(self.run).write_text('{"lr": 1e-4}')
        with suppress(*[InputError] if stage == "find_lr" else []):  # it need not find any
            import_module(f"stages.{stage}").main(self.task if stage in STAGES[:2] else self.run)

    def measure(self, stage: str) -> Cost:
        """Of a stage whose forerunners were run."""
        seconds, memory = watch(partial(self.do, stage))
        outputs = {
            "download": [paths.raw(self.task)],
            "normalize": [paths.features(self.task)],
            "find_lr": [paths.lr(self.run), paths.lr_plot(self.run)],
            "train": [paths.model(self.run), paths.history(self.run), paths.timing(self.run)],
            "evaluate": [paths.predictions(self.run), paths.plots(self.run), paths.evaluation(self.run)],
            "submit": [paths.submissions(self.run), paths.submission(self.run)],
        }
        return Cost(seconds, memory, sum(_size(self.folder / output) for output in outputs[stage]) / 1e6)


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file())


def read_params() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load(ROOT / "params.yaml")
    return found


def read_run(name: str, source: str) -> Run:
    """A run of this project as it is with its data from `source`: with the sample it is smaller than with any other."""
    params = read_params()
    params["tasks"][params["runs"][name]["task"]]["source"] = source
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "params.yaml")
        YAML(typ="safe").dump(params, file)
        return load_params(file).run(name)


def _params(task: str, num: int, archive: str) -> dict[str, Any]:
    """This project's params.yaml with one task and one run, narrow and for one epoch, and nothing ever submitted."""
    params = read_params()
    source = {"source": "public", "public": ["generated"]} if task == "speech" else {"source": archive}
    run, trained = params["runs"][RUNS[task]], 0.8 * num if task == "speech" else num
    run |= {"epochs": 1, "batch_size": BATCH, "loading": "disk" if task == "speech" else "workers"}
    run["model"] |= {"hidden": 16, "decoder": 64} if task == "speech" else {"width": 2}
    run["optimizer"]["lr"] = "find"
    test = {"steps": max(round(SEARCHED * trained / BATCH), 1), "start": 1e-6, "end": 1e-2}
    tasks = {task: params["tasks"][task] | source}
    plain = {
        "lr": None,
        "range_test": test,
        "epochs": None,
        "batch_size": None,
        "device": "cpu",
        "submit": params["submit"] | {"enabled": False},
    }
    return params | plain | {"tasks": tasks, "runs": {RUNS[task]: run}, "reached_before": {}}


def _write_utterances(archive: Path, num: int, *, tiny: bool) -> None:
    """LibriSpeech's layout: <speaker>/<chapter>/<utterance>.flac, and a chapter's words."""
    sounds = []
    for wave in make_waves(10):
        file = io.BytesIO()
        soundfile.write(file, wave[: int(TINY_SECONDS * RATE)] if tiny else wave, RATE, format="FLAC")
        sounds.append(file.getvalue())
    words, speakers = " ".join(WORDS.split()[:NUM_WORDS]), max(SPEAKERS, num // 100)
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        for speaker in range(speakers):
            names = {f"{speaker}-1-{place:06d}": place for place in range(speaker, num, speakers)}
            members = {f"{name}.flac": sounds[place % 10] for name, place in names.items()}
            members[f"{speaker}-1.trans.txt"] = "".join(f"{name} {words}\n" for name in names).encode()
            for name, content in members.items():
                info = tarfile.TarInfo(f"LibriSpeech/train-clean-360/{speaker}/1/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def _write_faces(archive: Path, num: int, *, tiny: bool) -> None:
    """HW2P2's layout, without verification."""
    images = [_shrink(image) if tiny else image for image in make_jpegs(100)]
    with zipfile.ZipFile(archive, "w") as file:
        for split, count in (("train", num), ("dev", num // 4), ("test", num // 4)):
            for place in range(count):
                person = "" if split == "test" else f"n{place % IDENTITIES:06d}/"
                write_member(file, f"{split}/{person}{place:06d}_01.jpg", images[place % 100])


def _shrink(image: bytes) -> bytes:
    pixels = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
    assert pixels is not None
    return cv2.imencode(".jpg", cv2.resize(pixels, (TINY_SIDE, TINY_SIDE)))[1].tobytes()


def watch(action: Callable[[], Any]) -> tuple[float, float]:
    """CPU seconds and MB of `action` in a process of its own, on one core. Of its workers only the seconds count."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # or the process would use again what this one has freed, unseen
    child = multiprocessing.get_context("fork").Process(target=_act, args=(action,))
    before, began = _cpu_seconds(), _anonymous(os.getpid())
    most = began
    child.start()
    while child.is_alive():
        most = max(most, _anonymous(child.pid))
        time.sleep(0.02)
    assert child.exitcode == 0, "the stage failed"
    return _cpu_seconds() - before, most - began


def _act(action: Callable[[], Any]) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        action()


def _cpu_seconds() -> float:
    """Of the processes that have ended and been waited for, and of theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _anonymous(process: int | None) -> float:
    """MB that a process holds but for files and shared memory; 0 if it has just ended."""
    with suppress(OSError, ValueError):
        _, resident, shared, *_ = Path(f"/proc/{process}/statm").read_text().split()
        return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server for the files in `folder`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def warm_up(folder: Path, server: str) -> None:
    """Import everything, and do once what is done only once."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    here = Path.cwd()
    for task in RUNS:
        project = Project(folder / f"{task}-first", server, task, 40)
        for stage in STAGES:
            project.do(stage)
    os.chdir(here)
