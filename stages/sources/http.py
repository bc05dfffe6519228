"""Public data sets from their own sites."""

from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from stages.core.errors import InputError


def fetch(url: str, out: Path, cache: Path, *, checksum: str | None) -> Path:
    """Download `url` to `out`/<its name>, which appears only when it is whole, and return that path.

    cache: a folder for what has come so far, and where an interrupted download goes on. checksum: "<algorithm>:<hex digits>"
    with an algorithm of hashlib. Raises InputError and Interrupted, as resumable.download does.
    """
    name = PurePosixPath(unquote(urlsplit(url).path)).name
    if name in ("", ".."):
        raise InputError(f"{url}: names no file to download")
    # Here, so that a stage that downloads nothing does not wait for them.
    import requests

    from stages.sources import resumable
    from stages.sources.retries import Retries

    retries = Retries(url)

    def ask(headers: dict[str, str]) -> requests.Response:
        return requests.get(url, headers=headers, stream=True, timeout=retries.timeout)

    return resumable.download(name, out, cache, source=url, ask=ask, retries=retries, checksum=checksum)
