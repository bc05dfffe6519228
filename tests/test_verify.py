"""A bit that flips in DVC's cache is found, and what came from it is made again."""

from pathlib import Path

import pytest

from tests.conftest import ROOT, Checkout
from tests.test_remote import digests

pytestmark = pytest.mark.slow


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.chmod(0o644)
    file.write_bytes(content)
    file.chmod(0o444)  # as DVC keeps it


def cached(checkout: Checkout, content: bytes) -> Path:
    [file] = [file for file in checkout.folder.glob(".dvc/cache/files/md5/*/*") if file.read_bytes() == content]
    return file


def outputs(checkout: Checkout) -> dict[str, str]:
    """All but the report, which tells how long a training took."""
    return {path: digest for path, digest in digests(checkout.folder).items() if not path.startswith("data/report")}


def test_a_flipped_bit_is_found_and_made_anew(checkout: Checkout) -> None:
    path = "models/digit_resnet/best.safetensors"
    before = outputs(checkout)
    assert "all intact" in checkout.run("python -m stages.verify")
    flip(cached(checkout, (checkout.folder / path).read_bytes()))
    checkout.run("rm -rf data models && dvc checkout")
    assert outputs(checkout) != before, "what DVC checks out is damaged, and it does not notice"

    told = checkout.run("! python -m stages.verify")
    assert "removed: models/digit_resnet\n" in told and "1 of" in told
    checkout.run("dvc repro")
    assert outputs(checkout) == before
    assert "all intact" in checkout.run("python -m stages.verify")


def test_what_the_workspace_still_has_is_put_back(checkout: Checkout) -> None:
    file = checkout.folder / "models/digit_resnet/best.safetensors"
    content, before = file.read_bytes(), outputs(checkout)
    bad = cached(checkout, content)
    if file.stat().st_ino == bad.stat().st_ino:
        pytest.skip("the cache and the workspace share their files here")
    flip(bad)
    assert "repaired" in checkout.run("python -m stages.verify")
    assert outputs(checkout) == before and bad.read_bytes() == content
    assert "up to date" in checkout.run("dvc repro")


def test_damaged_data_are_named_and_never_used(checkout: Checkout) -> None:
    features, predictions = "data/features/digits/train/images.npy", "data/predictions/digit_resnet/test.csv"
    before = outputs(checkout)
    for path in (features, predictions):
        flip(cached(checkout, (checkout.folder / path).read_bytes()))
    checkout.run("rm -rf data && dvc checkout")
    for path, stage in ((predictions, "submit"), (features, "train"), (features, "evaluate")):
        assert f"error: {path}: is damaged" in checkout.run(f"! dvc repro -f -s {stage}@digit_resnet 2>&1"), stage
    checkout.run("rm -rf data/features/digits data/predictions/digit_resnet; python -m stages.verify; dvc repro")
    assert outputs(checkout) == before


PIPELINE = """
stages:
  make: {cmd: "mkdir made && echo good > made/file && echo other > plain", outs: [made, plain]}
"""


@pytest.mark.parametrize(("content", "output"), [(b"good\n", "made"), (b'[{"', "made"), (b"other\n", "plain")])
def test_what_dvc_lock_names_and_no_cache_holds_is_listed(content: bytes, output: str, tmp_path: Path) -> None:
    """As after DVC has met a full disk: it says so, and exits with 0."""
    checkout = Checkout(tmp_path)
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    verify = f"PYTHONPATH={ROOT} python -m stages.verify"
    assert "all intact" in checkout.run(f"dvc init --no-scm -q && dvc repro -q && {verify}")
    [lost] = [file for file in tmp_path.glob(".dvc/cache/files/md5/*/*") if file.read_bytes().startswith(content)]
    lost.unlink()
    told = checkout.run(f"! {verify}")
    assert f"not in the cache: {output}\n" in told and told.count("not in the cache") == 1
    assert "lacks 1 of the outputs that dvc.lock names; `dvc commit -f` adds those in the workspace" in told
    assert "all intact" in checkout.run(f"dvc commit -f -q && {verify}")
