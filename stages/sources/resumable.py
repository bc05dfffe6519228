"""A file from the network, whole and verified, however many connections and processes it takes.

What has come so far lies in a cache folder outside DVC's outputs, so that it outlives a killed process: `<name>.partial`,
and beside it a note of what it is a part of. The same command goes on from there, if the server still has the same file.
"""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import requests
import urllib3

from stages.core import paths
from stages.core.errors import InputError, Interrupted, naming
from stages.core.hashes import file_hash
from stages.core.locks import Locked, locked
from stages.core.progress import DownloadProgress
from stages.sources.retries import BrokenOff, Retries

CHUNK = 1 << 16  # bytes; what a cut connection loses at most

# One request with these headers, and its answer, whose body has not been read. Raises requests.RequestException.
Ask = Callable[[dict[str, str]], requests.Response]


class Part:
    """The beginning of a file, on disk, and what it is the beginning of.

    source: where the file comes from. position: bytes that are there. Of the whole file, where the server said it:
    length, checksum ("md5:<hex digits>"), and validator, by which the server calls this version of it.
    """

    def __init__(self, path: Path, source: str) -> None:
        self.path, self.source, self._note = path, source, path.with_name(f"{path.name}.json")
        self.position = 0
        self.validator: str | None = None
        self.length: int | None = None
        self.checksum: str | None = None
        try:
            note = json.loads(self._note.read_text())
            size, length = path.stat().st_size, note["length"]
            if note["source"] == source and (length is None or size <= length):
                self.position, self.length = size, length
                self.validator, self.checksum = note["validator"], note["checksum"]
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or a crash damaged it
            pass
        self._file = path.open("r+b" if self.position else "w+b", buffering=0)  # a kill loses nothing that was written
        self._file.seek(self.position)

    @property
    def kept(self) -> int:
        """The bytes that need not be asked for again: none of a file that the server has no name for."""
        return self.position if self.validator else 0

    def begin(self, validator: str | None = None, length: int | None = None, checksum: str | None = None) -> None:
        """Start again, with the file that these describe."""
        self._note.unlink(missing_ok=True)
        self._file.seek(0)
        self._file.truncate()
        self.position, self.validator, self.length, self.checksum = 0, validator, length, checksum
        with paths.replacing(self._note) as note:
            facts = {"source": self.source, "validator": validator, "length": length, "checksum": checksum}
            note.write_text(json.dumps(facts))

    def append(self, chunk: bytes) -> None:
        left = memoryview(chunk)
        with naming(self.path):
            while left:  # a file without a buffer may take a part only, as the last of a disk
                written = self._file.write(left)
                left, self.position = left[written:], self.position + written

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def close(self) -> None:
        self._file.close()


def download(
    name: str,
    out: Path,
    cache: Path,
    *,
    source: str,
    ask: Ask,
    retries: Retries,
    checksum: str | None = None,
    check: Callable[[Part], None] = lambda part: None,
) -> Path:
    """Gather a file in `cache` and move it to `out`/`name`, where it appears only when it is whole; return that path.

    source: where it comes from; a part from elsewhere is not continued. checksum: "<algorithm>:<hex digits>" with an
    algorithm of hashlib, or None for the one that the server publishes, if it does. check: called with the whole file before
    it leaves the cache; may raise InputError. Raises InputError: refused by the server, no progress, another checksum, too
    little space, or another process downloads the same file; and Interrupted after Ctrl-C.
    """
    for folder in (out, cache):
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"{name}.lock", source), closing(Part(cache / f"{name}.partial", source)) as part:
        try:
            with DownloadProgress(name) as progress:
                _complete(part, out, ask, retries, progress)
            if expected := checksum or part.checksum:
                _verify(part, expected, retries.where)
            check(part)
            with paths.replacing(out / name) as final:
                shutil.move(part.path, final)  # a copy, if `out` is on another disk
        except KeyboardInterrupt:
            raise Interrupted(f"{source}: the same command continues from {part.kept:,} bytes") from None
        part.discard()
    return out / name


@contextmanager
def _alone(lock: Path, source: str) -> Iterator[None]:
    try:
        with locked(lock):
            yield
    except Locked:
        raise InputError(f"{source}: another process is downloading it to {lock.parent}; wait for it or stop it") from None


def _complete(part: Part, out: Path, ask: Ask, retries: Retries, progress: DownloadProgress) -> None:
    """Download until nothing is missing, in as many attempts as make progress."""
    furthest = part.position
    while part.position != part.length:
        try:
            _attempt(part, out, ask, progress)
            return
        except requests.RequestException as error:
            if part.position > furthest:  # a server that starts again from 0 each time gets nowhere
                furthest = part.position
                retries.reset()
            retries.wait(error)


def _attempt(part: Part, out: Path, ask: Ask, progress: DownloadProgress) -> None:
    """One request, from where the part ends."""
    # Some servers call a .tar.gz a gzip-encoded .tar, so `raw`: what they send is what is kept.
    headers = {"Accept-Encoding": "identity"}
    if part.kept and part.validator:
        headers |= {"Range": f"bytes={part.kept}-", "If-Range": part.validator}
    with closing(ask(headers)) as response:
        _accept(part, response)
        _check_space(part, out)
        progress.begin(part.position, part.length, part.source)
        try:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                part.append(chunk)
                progress.show(part.position)
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(error) from error
    if part.length is not None and part.position != part.length:
        raise BrokenOff(f"the connection ended after {part.position:,} of {part.length:,} bytes")


def _accept(part: Part, response: requests.Response) -> None:
    """Make the part ready for the body of this response."""
    status, headers = response.status_code, response.headers
    etag = headers.get("ETag")
    # A weak ETag allows for other bytes, so that If-Range excludes it (RFC 9110, 13.1.5).
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        same = match and int(match[1]) == part.position and (match[2] == "*" or part.length in (None, int(match[2])))
        if part.kept and same and validator in (None, part.validator):
            return
    if status in (206, 416):  # not the part that was asked for, or none: the server has another file now
        part.begin()
        raise BrokenOff("the file has changed on the server")
    if status != 200:
        raise requests.HTTPError(response=response)
    length = headers.get("Content-Length", "")
    # Google's storage, where Kaggle's redirects lead, publishes the MD5 of most files.
    md5 = re.search(r"md5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    checksum = f"md5:{base64.b64decode(md5[1]).hex()}" if md5 else None
    part.begin(validator, int(length) if length.isdecimal() else None, checksum)


def _check_space(part: Part, out: Path) -> None:
    """Raises InputError unless what is missing fits where it is gathered, and the whole where it goes in the end."""
    cache = part.path.parent
    needs = {cache: (part.length or 0) - part.position}
    if out.stat().st_dev != cache.stat().st_dev:
        needs[out] = part.length or 0
    for folder, need in needs.items():
        free = shutil.disk_usage(folder).free
        if need > free:
            raise InputError(
                f"{folder}: {part.source} needs {need / 1e9:.3g} GB there, but {free / 1e9:.3g} GB are free; make room, "
                "and the same command continues"
            )


def _verify(part: Part, checksum: str, where: str) -> None:
    algorithm, _, digest = checksum.partition(":")
    found = file_hash(part.path, algorithm)
    if found != digest.lower():
        part.discard()
        raise InputError(
            f"{where}: its {algorithm} is {found} instead of {digest}, so it was deleted; "
            "the same command downloads it again"
        )
