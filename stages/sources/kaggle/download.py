"""A competition's archive from Kaggle: signed in by Kaggle's own client, resumed after a cut or a kill.

The body is not streamed by the client's `download_file` (2.2.4), which starts without a time-out and does not look at the
status of a resumed request: the text of a 503 becomes the file, and the next run appends the archive's rest to it.
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

    cache: a folder for what has arrived so far, which must survive a failed stage; the archive leaves it when it is whole.
    where: the key in params.yaml, for messages. max_bytes: what the archive may unpack to.
    Raises InputError and Interrupted, as resumable.download does, and InputError if what arrives is no archive or too large.
    """
    # Here, so that a stage that downloads nothing does not wait for them.
    import requests

    from stages.sources import resumable
    from stages.sources.kaggle import client

    client.check_name(competition, where)
    retries = client.Retries(competition, where)
    api: KaggleApi | None = None

    def ask(headers: dict[str, str]) -> requests.Response:
        nonlocal api
        api = api or client.sign_in(retries)
        for _ in range(2):  # the address that Kaggle redirects to expires
            try:
                answer = _ask(api, competition, headers)
            except requests.HTTPError as error:
                if error.response is None or not error.response.history:  # it is Kaggle that refuses, and not its storage
                    raise
                answer = error.response
            if answer.status_code != 403:
                return answer
            answer.close()
        raise InputError(
            f"{where}: Kaggle's storage refuses the address that Kaggle gives, and a new one, too (403); "
            "the same command continues later"
        )

    def check(part: "Part") -> None:
        try:
            Archive(part.path, max_bytes)
        except TooLarge:  # kept for a higher limit
            raise
        except InputError as error:
            part.discard()
            raise InputError(f"{where}: Kaggle's archive is of no use and was deleted: {error}") from None

    source = client.competition_page(competition)
    return resumable.download(f"{competition}.zip", out, cache, source=source, ask=ask, retries=retries, check=check)


def _ask(api: "KaggleApi", competition: str, headers: dict[str, str]) -> "requests.Response":
    """The archive, or the part of it that the headers ask for.

    Kaggle is asked again each time, because the address that it redirects to expires; and always for the whole, the client
    knowing nothing else, whose body is then left unread.
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
    # Not in the client's session, which would show the token to the host that Kaggle redirects to.
    return requests.get(whole.url, headers=headers, stream=True, timeout=client.Retries.timeout)
