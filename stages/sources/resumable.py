"""Downloads that survive cut connections and killed processes, with verified checksums.

The bytes that have arrived are in a cache folder outside DVC's outputs: `<name>.partial`, and a note about the file beside
it. The same command continues from there if the server still has the same file.
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

CHUNK = 1 << 16  # bytes; the most that a cut connection loses

# Sends a request with these headers and returns the response, its body unread. Raises requests.RequestException.
Ask = Callable[[dict[str, str]], requests.Response]


class Part:
    """A partial download on disk.

    source: where the file comes from. position: bytes that have arrived. length, checksum ("md5:<hex digits>") and
    validator (ETag or Last-Modified) describe the whole file, as far as the server sent them.
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
        except (OSError, ValueError, KeyError, TypeError):  # no note, or damaged by a crash
            pass
        self._file = path.open("r+b" if self.position else "w+b", buffering=0)  # unbuffered, so that a kill loses nothing
        self._file.seek(self.position)

    @property
    def kept(self) -> int:
        """The bytes that need no second download: none without a validator."""
        return self.position if self.validator else 0

    def begin(self, validator: str | None = None, length: int | None = None, checksum: str | None = None) -> None:
        """Start from 0 with the file that the arguments describe."""
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
            while left:  # an unbuffered write may be partial, as on a nearly full disk
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
    """Download a file to `cache`, move it to `out`/`name` when it is complete, and return that path.

    source: where it comes from; a partial download from elsewhere is not continued. checksum: "<algorithm>:<hex digits>",
    with an algorithm of hashlib; None: the server's, if it sends one. check: called with the complete download; may raise
    InputError. Raises InputError if the server refuses, nothing more arrives, the checksum differs, the disk is too small or
    another process downloads the same file, and Interrupted after Ctrl-C.
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
                shutil.move(part.path, final)  # copies if `out` is on another disk
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
    """Download the rest, with retries for as long as there is progress."""
    furthest = part.position
    while part.position != part.length:
        try:
            _attempt(part, out, ask, progress)
            return
        except requests.RequestException as error:
            if part.position > furthest:  # a server that always starts from 0 makes no progress
                furthest = part.position
                retries.reset()
            retries.wait(error)


def _attempt(part: Part, out: Path, ask: Ask, progress: DownloadProgress) -> None:
    """Make one request, from the end of the part."""
    # Some servers declare a .tar.gz a gzip-encoded .tar, so the raw body is kept, undecoded.
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
    """Prepare the part for the response's body. Raises BrokenOff if the body does not fit."""
    status, headers = response.status_code, response.headers
    etag = headers.get("ETag")
    # If-Range excludes weak ETags, which allow different bytes (RFC 9110, 13.1.5).
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    if status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        same = match and int(match[1]) == part.position and (match[2] == "*" or part.length in (None, int(match[2])))
        if part.kept and same and validator in (None, part.validator):
            return
    if status in (206, 416):  # not the range that was requested, so the server has another file now
        part.begin()
        raise BrokenOff("the file has changed on the server")
    if status != 200:
        raise requests.HTTPError(response=response)
    length = headers.get("Content-Length", "")
    # Google Cloud Storage, to which Kaggle redirects, sends the MD5 of most files.
    md5 = re.search(r"md5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    checksum = f"md5:{base64.b64decode(md5[1]).hex()}" if md5 else None
    part.begin(validator, int(length) if length.isdecimal() else None, checksum)


def _check_space(part: Part, out: Path) -> None:
    """Raises InputError unless the rest fits into the cache and, if that is another disk, the file into `out`."""
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
