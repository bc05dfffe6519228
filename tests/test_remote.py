"""Results travel by a remote: pushed from one clone, pulled into another, where nothing is left to do."""

import hashlib
from pathlib import Path

from tests.conftest import Checkout


def digests(folder: Path) -> dict[str, str]:
    """Of every file below data/ and models/."""
    files = [file for name in ("data", "models") for file in (folder / name).rglob("*") if file.is_file()]
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_pushed_here_and_pulled_there_nothing_is_left_to_do(checkout: Checkout, tmp_path: Path) -> None:
    checkout.run(f"dvc remote add -d storage {tmp_path / 'storage'} && git commit -qam remote")
    assert "files pushed" in checkout.run("dvc push")

    there = Checkout(tmp_path / "there")
    checkout.run(f"git clone -q . {there.folder}")
    assert not (there.folder / "data").exists() and not (there.folder / "models").exists()
    there.run("dvc pull")
    assert digests(there.folder) == digests(checkout.folder) != {}
    assert there.run("dvc repro").splitlines()[-1] == "Data and pipelines are up to date."
    assert there.run("git status --porcelain") == ""

    # One run can be pulled without the others: neither the data nor the other run is fetched.
    one = Checkout(tmp_path / "one")
    checkout.run(f"git clone -q . {one.folder}")
    one.run("dvc pull train@digit_resnet")
    assert digests(one.folder) == {
        name: digest for name, digest in digests(checkout.folder).items() if "models/digit_resnet" in name
    }
