"""Downloads through Kaggle's real client, from a server that behaves as badly as the network does."""

import base64
import io
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stages.core.errors import InputError
from stages.data.archive import write_member
from stages.sources import resumable
from stages.sources.kaggle import client, download
from tests.kaggle_server import RULES, Fault, KaggleServer

KEY = "tasks.cifar10.source"
STAGE = f"""
from pathlib import Path
from stages.core.errors import run_stage
from stages.sources.kaggle import download
run_stage(lambda name: print(download.fetch(name, Path("out"), Path("cache"), {KEY!r})))
"""


def make_zip(size: int = 1_000_000, seed: int = 0) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        write_member(archive, "train/1.png", random.Random(seed).randbytes(size))
    return file.getvalue()


@pytest.fixture
def server(kaggle_server: KaggleServer) -> KaggleServer:
    kaggle_server.archives["cifar-10"] = make_zip()
    return kaggle_server


@pytest.fixture
def fetch(tmp_path: Path) -> Any:
    """fetch() -> the content of the archive, which must be the only thing that the folder holds."""

    def run(competition: str = "cifar-10", max_bytes: int | None = None) -> bytes:
        path = download.fetch(competition, tmp_path / "out", tmp_path / "cache", KEY, max_bytes=max_bytes)
        assert list((tmp_path / "out").iterdir()) == [path]
        return path.read_bytes()

    return run


def refused(fetch: Any, *words: str) -> str:
    """The one sentence in which fetch() fails, with these words in it."""
    with pytest.raises(InputError) as caught:
        fetch()
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def run_stage(server: KaggleServer, folder: Path, credentials: dict[str, str]) -> SimpleNamespace:
    """What a process says that fetches into folder/work, with folder/home as its home."""
    (folder / "work").mkdir(exist_ok=True)
    environment = server.environment(folder / "home", backoff=0.01, attempts=2) | credentials
    command = [sys.executable, "-c", STAGE, "cifar-10"]
    done = subprocess.run(command, cwd=folder / "work", env=environment, text=True, capture_output=True, timeout=60)
    return SimpleNamespace(code=done.returncode, out=done.stdout, err=done.stderr)


# What arrives.


def test_a_competitions_archive_arrives_byte_for_byte(server: KaggleServer, fetch: Any, tmp_path: Path) -> None:
    assert fetch() == server.archives["cifar-10"]
    assert [file.name for file in (tmp_path / "cache").iterdir()] == ["cifar-10.zip.lock"]
    assert [request.call for request in server.requests] == ["IntrospectToken", "DownloadDataFiles", "archive"]


def test_credentials_are_shown_to_kaggle_and_to_nobody_else(server: KaggleServer, fetch: Any) -> None:
    server.faults["archive"] = [Fault(cut=0.6)]
    fetch()
    assert all(request.signed for request in server.calls("DownloadDataFiles"))
    assert [request.signed for request in server.calls("archive")] == [False] * 3


# Connections that break.


@pytest.mark.parametrize("share", [0.0, 0.6, 0.9999])
def test_a_cut_connection_is_resumed_where_it_broke(share: float, server: KaggleServer, fetch: Any) -> None:
    server.faults["archive"] = [Fault(cut=share)]
    assert fetch() == server.archives["cifar-10"]
    starts = [int(request.headers.get("Range", "bytes=0-")[6:-1]) for request in server.calls("archive")]
    broken = share * len(server.archives["cifar-10"])
    assert broken - resumable.CHUNK <= starts[-1] <= broken


def test_a_download_survives_many_cuts_as_long_as_each_brings_something(server: KaggleServer, fetch: Any) -> None:
    for share in range(1, 10):
        server.faults["archive"] += [Fault(), Fault(cut=share / 10)] if share > 1 else [Fault(cut=0.1)]
    assert client.Retries.attempts <= 9
    assert fetch() == server.archives["cifar-10"]


def test_an_archive_that_changed_meanwhile_is_fetched_from_its_beginning(
    server: KaggleServer, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.Retries, "attempts", 1)
    server.faults["archive"] = [Fault(cut=0.6)]
    refused(fetch)
    server.archives["cifar-10"], server.version = make_zip(seed=1), 2
    assert fetch() == make_zip(seed=1)


EXPIRED = Fault(403, "Request has expired")


@pytest.mark.parametrize("cut", [[], [Fault(cut=0.6), Fault()]], ids=["at once", "resuming"])
def test_an_address_that_has_expired_is_asked_for_once_more(cut: list[Fault], server: KaggleServer, fetch: Any) -> None:
    server.faults["archive"] = [*cut, EXPIRED]
    assert fetch() == server.archives["cifar-10"]
    assert len(server.calls("DownloadDataFiles")) == (3 if cut else 2)
    server.faults["archive"] = [*cut, EXPIRED, *cut[1:], EXPIRED]
    said = refused(fetch, f"{KEY}: Kaggle's storage refused two URLs from Kaggle", "the same command continues")
    assert "rules" not in said
    assert fetch() == server.archives["cifar-10"]


def test_a_part_that_was_damaged_is_found_out_by_the_published_checksum(
    server: KaggleServer, fetch: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.Retries, "attempts", 1)
    server.faults["archive"] = [Fault(cut=0.6)]
    refused(fetch)
    with (tmp_path / "cache" / "cifar-10.zip.partial").open("r+b") as file:
        file.write(b"?")
    refused(fetch, f"{KEY}: its md5 is", "so it was deleted")
    assert fetch() == server.archives["cifar-10"]


# A server that is busy, stalls or fails.


@pytest.mark.parametrize(("call", "status"), [("IntrospectToken", 429), ("DownloadDataFiles", 503), ("archive", 429)])
def test_a_busy_server_is_asked_again(call: str, status: int, server: KaggleServer, fetch: Any) -> None:
    server.faults[call] = [Fault(status, "Too many requests")] * 2
    assert fetch() == server.archives["cifar-10"]


@pytest.mark.usefixtures("impatient")
def test_a_body_that_stalls_is_resumed(server: KaggleServer, fetch: Any) -> None:
    server.faults["archive"] = [Fault(stall=0.5)]
    assert fetch() == server.archives["cifar-10"]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("call", ["DownloadDataFiles", "archive"])
def test_a_server_that_stalls_for_good_is_given_up(
    call: str, server: KaggleServer, fetch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.Retries, "attempts", 2)
    server.faults[call] = [Fault(stall=0.0)] * 3
    refused(fetch, "no answer from Kaggle for 0 s", "given up after 2 attempts")


def test_a_network_that_is_down_is_named(server: KaggleServer, fetch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from kagglesdk import kaggle_env

    monkeypatch.setattr(client.Retries, "attempts", 2)
    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, "http://127.0.0.1:9")
    refused(fetch, "the connection to Kaggle broke or could not be made", "given up after 2 attempts")


# Archives that are not what they should be.


@pytest.mark.parametrize(("publishes_md5", "words"), [(True, "its md5 is"), (False, "was deleted: ")])
def test_a_length_too_short_is_found_out(publishes_md5: bool, words: str, server: KaggleServer, fetch: Any) -> None:
    server.publishes_md5 = publishes_md5
    server.faults["archive"] = [Fault(longer=-100)]
    refused(fetch, f"{KEY}: ", words)
    assert fetch() == server.archives["cifar-10"]


def test_a_truncated_zip_is_deleted_and_fetched_anew(server: KaggleServer, fetch: Any, tmp_path: Path) -> None:
    server.archives["cifar-10"] = make_zip()[:-30]
    refused(fetch, f"{KEY}: ", "unusable and was deleted")
    assert not list((tmp_path / "out").iterdir())
    server.archives["cifar-10"] = make_zip()
    assert fetch() == make_zip()


def test_an_archive_too_large_for_the_limit_is_kept_for_a_higher_one(
    server: KaggleServer, fetch: Any, tmp_path: Path
) -> None:
    refused(lambda: fetch(max_bytes=999_999), "unpacks to more than", "max_unpacked_gb")
    assert not list((tmp_path / "out").iterdir())
    num = len(server.requests)
    assert fetch(max_bytes=1_000_000) == server.archives["cifar-10"]
    assert len(server.requests) == num


# Refusals.


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(401, "Unauthenticated"), ["401 (Unauthorized)", "https://www.kaggle.com/settings/api", "cifar-10/rules"]),
        (Fault(403, RULES), ["403 (You must accept this", "https://www.kaggle.com/competitions/cifar-10/rules"]),
        (Fault(404, "Not found"), ["404 (Not found)", "is 'cifar-10' the last part"]),
        (Fault(400, "Bad"), ["400 (Bad)", "https://www.kaggle.com/competitions/cifar-10"]),
    ],
)
def test_a_refusal_says_what_to_do_and_is_not_repeated(
    fault: Fault, words: list[str], server: KaggleServer, fetch: Any
) -> None:
    server.faults["DownloadDataFiles"] = [fault]
    refused(fetch, f"{KEY}: ", *words)
    assert len(server.calls("DownloadDataFiles")) == 1
    assert not server.calls("archive")


def test_a_competition_that_is_not_there_is_named(server: KaggleServer, fetch: Any) -> None:
    refused(lambda: fetch("cifar-11"), "404", "is 'cifar-11' the last part", "https://www.kaggle.com/competitions/cifar-11")


@pytest.mark.parametrize("name", ["../cifar-10", "cifar-10\n"])
def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(name: str, server: KaggleServer, fetch: Any) -> None:
    refused(lambda: fetch(name), f"{KEY}: {name!r} is not a competition's name")
    assert not server.requests


# Credentials.


def test_credentials_are_taken_where_the_client_takes_them(server: KaggleServer, kaggle_json: Path, tmp_path: Path) -> None:
    assert run_stage(server, tmp_path, {}).code == 0
    kaggle_json.unlink()
    assert run_stage(server, tmp_path, {"KAGGLE_USERNAME": server.username, "KAGGLE_KEY": server.key}).code == 0
    (kaggle_json.parent / "access_token").write_text(f"{server.token}\n")
    assert run_stage(server, tmp_path, {}).code == 0


def test_a_kaggle_json_that_holds_something_else_is_no_credentials(
    server: KaggleServer, kaggle_json: Path, tmp_path: Path
) -> None:
    kaggle_json.write_text("[1]")
    done = run_stage(server, tmp_path, {})
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1), done.err
    assert done.err.startswith(f"error: {KEY}: Kaggle's client finds no valid credentials; create a token")


def test_without_credentials_one_sentence_says_what_to_do(server: KaggleServer, tmp_path: Path) -> None:
    done = run_stage(server, tmp_path, {})
    assert (done.code, done.out) == (1, "")
    [line] = done.err.splitlines()
    assert line.startswith(f"error: {KEY}: Kaggle's client finds no valid credentials; create a token on https://www.")
    assert line.endswith("accept the rules on https://www.kaggle.com/competitions/cifar-10/rules")
    assert not server.requests
    assert not list((tmp_path / "home").iterdir())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"KAGGLE_API_TOKEN": "right"}, 0),
        ({"KAGGLE_KEY": "PRIVATE" * 6}, 1),
        ({"KAGGLE_API_TOKEN": "PRIVATE\nPRIVATE"}, 1),
        ({"KAGGLE_API_TOKEN": "PRIVATE" * 60}, 1),
        ({"KAGGLE_KEY": "PRIVATE\u0416"}, 1),
    ],
    ids=["right", "wrong key", "token of two lines", "token longer than a file's name", "key that is not Latin"],
)
def test_no_secret_shows_in_output_or_files(given: dict[str, str], code: int, server: KaggleServer, tmp_path: Path) -> None:
    given = given | ({"KAGGLE_USERNAME": server.username} if "KAGGLE_KEY" in given else {})
    if not code:
        given["KAGGLE_API_TOKEN"] = server.token
    secret = given.get("KAGGLE_API_TOKEN") or given["KAGGLE_KEY"]
    if code:  # a server that repeats what it was sent, and a client that was told to be talkative
        server.faults["DownloadDataFiles"] = [Fault(400 if secret == "PRIVATE" * 6 else 401, f"Bad credentials: {secret}")]
    else:
        server.faults["archive"] = [Fault(cut=0.5)]
    done = run_stage(server, tmp_path, given | {"VERBOSE": "true"})
    assert done.code == code, done.err
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    told = "\n".join([done.out, done.err]).encode() + b"".join(file.read_bytes() for file in files)
    assert not list((tmp_path / "home").iterdir())  # where the client would make a folder as it is imported
    assert len(server.calls("IntrospectToken")) <= 1  # which it would ask then, too, without a time-out
    both = base64.b64encode(f"{server.username}:{secret}".encode())
    for word in (secret.split("\n")[0].encode(), both, b"5169" * 16, b"PRIVATE"):  # the third signs the redirect's address
        assert word not in told
    assert not code or (done.err.count("\n") == 1 and "https://www.kaggle.com/" in done.err)


# The part of the server that submissions need, by the real client.
