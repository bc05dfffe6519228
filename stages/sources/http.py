"""Downloads of public data sets."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from stages.core.errors import InputError


def fetch(url: str, out: Path, cache: Path, *, checksum: str | None) -> Path:
    """Download `url` into `out` and return the file's path. The file appears only when it is complete.

    cache: a folder for partial downloads. checksum: "<algorithm>:<hex digits>", with an algorithm of hashlib. Raises
    InputError and Interrupted like resumable.download.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if name in ("", ".."):
        raise InputError(f"{url}: names no file to download")
    # Slow imports, only for stages that download.
    import requests

    from stages.sources import resumable
    from stages.sources.retries import Retries

    retries = Retries(url)

    def ask(headers: dict[str, str]) -> requests.Response:
        return requests.get(url, headers=headers, stream=True, timeout=retries.timeout)

    return resumable.download(name, out, cache, source=url, ask=ask, retries=retries, checksum=checksum)
