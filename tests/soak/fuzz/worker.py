"""The process in which a target reads its inputs, so that none of them can take more than this process down.

    python -m tests.soak.fuzz.worker TARGET FOLDER SEED FIRST SECONDS

Input number i is a function of SEED, i and what was found so far. It lies in FOLDER/input before it is tried. An input that
ends in a place in the code where none did before is kept in FOLDER/corpus, and changed further.
"""

import hashlib
import mmap
import os
import resource
import shutil
import signal
import struct
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from stages.core.errors import InputError
from tests.soak.fuzz import mutate, targets

MEMORY = 1 << 30  # bytes, above what the process has before its first input
CPU_SECONDS = 10.0
COUNTS = struct.Struct("<4Q")  # in FOLDER/counts: inputs begun, accepted, refused, findings
PROGRAMS = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
)
CHANGES = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Guard:
    """Notes what is done outside a folder, whoever catches whatever exception: Python tells of it by audit events."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.is_on, self.seen = f"{folder}/", False, list[str]()
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.is_on:
            return
        if event in PROGRAMS:
            self.seen.append(f"{event}{arguments!r}")
        elif event in CHANGES or (event == "open" and arguments[2] & WRITING):
            paths = arguments[:2] if event in ("os.rename", "os.link", "os.symlink") else arguments[:1]
            if not all(self._is_inside(path) for path in paths):
                self.seen.append(f"{event}{arguments!r}")

    def _is_inside(self, path: Any) -> bool:
        if isinstance(path, int) or os.fsdecode(path) == os.devnull:
            return True
        return f"{os.path.realpath(os.fsdecode(path))}/".startswith(self._folder)


class Worker:
    def __init__(self, name: str, folder: Path, seed: str) -> None:
        self.target, self.folder, self.seed = targets.find(name), folder, seed
        self.scratch = folder / "scratch"
        for path in (self.scratch, folder / "corpus", folder / "findings"):
            path.mkdir(exist_ok=True)
        self.guard = Guard(folder.resolve())
        self.places: set[str] = set()
        self.good, self.hostile = self.target.seeds(), self.target.hostile()
        self.corpus = [*self.good, *self.hostile]
        self.corpus += [path.read_bytes() for path in sorted((folder / "corpus").iterdir())]
        counts = folder / "counts"
        if not counts.exists():
            counts.write_bytes(bytes(COUNTS.size))
        with counts.open("r+b") as file:
            self.counts = mmap.mmap(file.fileno(), COUNTS.size)  # what a killed process has written there stays

    def warm_up(self) -> None:
        """All seeds once, with everything that is imported late. They have to be accepted, or they would be of no use."""
        for content in self.good:
            self.target.attempt(content, self.scratch)
            self._clear()
        sizes = Path("/proc/self/statm").read_text().split()
        limit = int(sizes[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def run(self, first: int, seconds: float) -> None:
        """Inputs from number `first` on."""
        end = time.monotonic() + seconds
        with (self.folder / "input").open("wb", buffering=0) as current:
            for number in range(first, sys.maxsize):
                if time.monotonic() > end:
                    return
                content = self.make(number)
                os.pwrite(current.fileno(), content, 0)
                os.ftruncate(current.fileno(), len(content))
                self._count(0)
                self.judge(content)

    def make(self, number: int) -> bytes:
        """Input `number`: the hostile ones as they are, then changed ones."""
        if number < len(self.hostile):
            return self.hostile[number]
        random = Random(f"{self.seed}:{number}")
        # The last found are the furthest into the code; the good ones are so, too.
        place = max(random.randrange(len(self.corpus)), random.randrange(len(self.corpus)))
        content = random.choice((self.corpus[place], random.choice(self.good)))
        if self.target.mutate is not None and random.randrange(2):
            content = self.target.mutate(random, content)
            if random.randrange(3):
                return content
        return mutate.change(random, content, self.corpus)

    def judge(self, content: bytes) -> None:
        """Try it and count what comes of it."""
        finding, self.guard.seen, self.guard.is_on = "", [], True
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # nobody catches the signal, so that it ends the process
        try:
            self.target.attempt(content, self.scratch)
            self._count(1)
        except InputError as error:
            self._count(2)
            self._remember(content, error)
        except BaseException as error:
            finding = "".join(traceback.format_exception(error))
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            self.guard.is_on = False
        self._clear()
        if finding or self.guard.seen:
            self._report(content, finding, "\n".join(self.guard.seen))

    def _clear(self) -> None:
        if any(self.scratch.iterdir()):
            shutil.rmtree(self.scratch)
            self.scratch.mkdir()

    def _remember(self, content: bytes, error: BaseException) -> None:
        places: list[str] = []
        cause: BaseException | None = error
        while cause is not None:
            places += _lines(cause)
            cause = cause.__cause__ or cause.__context__
        place = "\n".join(places)
        if place not in self.places:
            self.places.add(place)
            path = self.folder / "corpus" / hashlib.sha256(place.encode()).hexdigest()[:16]
            if not path.exists():
                path.write_bytes(content)
                self.corpus.append(content)

    def _report(self, content: bytes, finding: str, done: str) -> None:
        """Keep it, unless there is one that failed in the same place."""
        self._count(3)
        name = hashlib.sha256((finding[: finding.rfind("\n", 0, -1)] + done).encode()).hexdigest()[:16]
        (self.folder / "findings" / name).write_bytes(content)
        (self.folder / "findings" / f"{name}.txt").write_text(f"{finding}{done}\n")

    def _count(self, which: int) -> None:
        struct.pack_into("<Q", self.counts, 8 * which, struct.unpack_from("<Q", self.counts, 8 * which)[0] + 1)


def _lines(error: BaseException) -> Iterator[str]:
    """Where it came through, from the outside to where it was raised."""
    trace = error.__traceback__
    while trace is not None:
        yield f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next


if __name__ == "__main__":
    name, folder, seed, first, seconds = sys.argv[1:]
    worker = Worker(name, Path(folder), seed)
    worker.warm_up()
    worker.run(int(first), float(seconds))
