"""Resumable downloads of a competition's archive from Kaggle, signed in by Kaggle's own client.

The client's `download_file` (2.2.4) is not used: it has no time-out and ignores the status of a resumed request, so the text
of a 503 becomes the file, and the next run appends the rest of the archive to it.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from stages.core.errors import InputError
from stages.data.archive import Archive, TooLarge

if TYPE_CHECKING:
    import requests
    from kaggle.api.kaggle_api_extended import KaggleApi

    from stages.sources.resumable import Part


def fetch(competition: str, out: Path, cache: Path, where: str, *, max_bytes: int | None = None) -> Path:
    """Download all files of a competition, which Kaggle packs as one zip, and return out/<competition>.zip.

    cache: a folder for partial downloads, which must survive a failed stage. where: the key in params.yaml, for messages.
    max_bytes: the most that the archive may unpack to. Raises InputError and Interrupted like resumable.download, and
    InputError if the file is no archive or too large.
    """
    # Slow imports, only for stages that download.
    import requests

    from stages.sources import resumable
    from stages.sources.kaggle import client

    client.check_name(competition, where)
    retries = client.Retries(competition, where)
    api: KaggleApi | None = None

    def ask(headers: dict[str, str]) -> requests.Response:
        nonlocal api
        api = api or client.sign_in(retries)
        for _ in range(2):  # the URL to which Kaggle redirects expires
            try:
                response = _ask(api, competition, headers)
            except requests.HTTPError as error:
                if error.response is None or not error.response.history:  # Kaggle refused, not its storage
                    raise
                response = error.response
            if response.status_code != 403:
                return response
            response.close()
        raise InputError(f"{where}: Kaggle's storage refused two URLs from Kaggle (403); the same command continues later")

    def check(part: "Part") -> None:
        try:
            Archive(part.path, max_bytes)
        except TooLarge:  # keep it for a higher limit
            raise
        except InputError as error:
            part.discard()
            raise InputError(f"{where}: Kaggle's archive is unusable and was deleted: {error}") from None

    source = client.competition_page(competition)
    return resumable.download(f"{competition}.zip", out, cache, source=source, ask=ask, retries=retries, check=check)


def _ask(api: "KaggleApi", competition: str, headers: dict[str, str]) -> "requests.Response":
    """Request the archive, or the range in the headers.

    Each call asks Kaggle for a new URL, because they expire. The client can only request the whole archive; for a range its
    response stays unread.
    """
    import requests
    from kagglesdk.competitions.types.competition_api_service import ApiDownloadDataFilesRequest

    from stages.sources.kaggle import client

    request = ApiDownloadDataFilesRequest()
    request.competition_name = competition
    competitions = api.build_kaggle_client().competitions.competition_api_client
    whole: requests.Response = competitions.download_data_files(request)
    if "Range" not in headers:
        return whole
    whole.close()
    # Not in the client's session, which would send the token to the storage host.
    return requests.get(whole.url, headers=headers, stream=True, timeout=client.Retries.timeout)
