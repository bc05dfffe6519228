"""Archives and folders of the user's own: copied or packed in full, or nothing at all."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from stages import download
from stages.core import paths
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.images.settings import Sample
from stages.sources import path
from tests.conftest import Project, task_settings

WriteZip = Callable[[str, dict[str, bytes]], Path]
MEMBERS = {"train/1.png": b"pixels", "trainLabels.csv": b"id,label\n"}
KEY, SETTINGS = "tasks.cifar10.source", task_settings("cifar10")


def folder(at: Path) -> Path:
    for name, content in MEMBERS.items():
        (at / name).parent.mkdir(parents=True, exist_ok=True)
        (at / name).write_bytes(content)
    return at


def contents(archive: Path) -> dict[str, bytes]:
    opened = Archive(archive)
    return dict(opened.members(set(opened.names)))


def stage(project: Project, source: Any) -> list[str]:
    """The names in data/archives/cifar10 after the stage download."""
    project.set(tasks__cifar10__source=source)
    download.main("cifar10")
    return sorted(file.name for file in paths.raw("cifar10").iterdir())


def fetch(project: Project, source: Any, **changes: Any) -> dict[str, Path]:
    """The files of a source by name, without the stage's own params.yaml."""
    out = Path(mkdtemp(dir=project.folder))
    download.fetch("cifar10", replace(SETTINGS, source=source, **changes), 0, out)
    return {file.name: file for file in sorted(out.iterdir())}


def test_an_archive_is_copied_unchanged(project: Project, write_zip: WriteZip) -> None:
    source = write_zip("mine/a.zip", MEMBERS)
    [(name, file)] = fetch(project, str(source)).items()
    assert name == "a.zip" and file.read_bytes() == source.read_bytes()


def test_a_folder_is_packed_as_a_zip_of_its_name(project: Project) -> None:
    source = folder(project.folder / "mine")
    [(name, file)] = fetch(project, f"{source}/").items()
    assert name == "mine.zip" and contents(file) == MEMBERS


def test_an_archive_in_the_folder_that_dvc_empties_is_refused(project: Project, write_zip: WriteZip) -> None:
    write_zip("data/archives/cifar10/mine.zip", MEMBERS)
    for source in ("data/archives/cifar10/mine.zip", f"{project.folder}/data/archives/other/", "data/raw/../archives/a.zip"):
        with pytest.raises(InputError, match=rf"^{KEY}: .* lies in data/archives, which DVC empties"):
            fetch(project, source)
    assert (project.folder / "data/archives/cifar10/mine.zip").exists()


def test_an_archive_that_lies_beside_survives_its_own_download(project: Project, write_zip: WriteZip) -> None:
    source = write_zip("data/raw/cifar10/mine.zip", MEMBERS)
    assert stage(project, "data/raw/cifar10/mine.zip") == ["mine.zip"]
    assert contents(source) == MEMBERS


def test_several_sources_are_all_fetched(project: Project, write_zip: WriteZip) -> None:
    folder(project.folder / "mine")
    write_zip("other/a.zip", MEMBERS)
    assert [*fetch(project, ["mine", "other/a.zip"])] == ["a.zip", "mine.zip"]


@pytest.mark.parametrize(
    ("sources", "packed"),
    [
        (["a/train", "a/val"], ["train/cat/1", "val/cat/1"]),
        (["a/TRAIN/", "a/TEST"], ["TEST/cat/1", "TRAIN/cat/1"]),
        (["a/train-clean-100", "a/dev-clean"], ["dev-clean/cat/1", "train-clean-100/cat/1"]),
        (["a/known", "a/unknown_dev", "a/dev"], ["dev/cat/1", "known/cat/1", "unknown_dev/cat/1"]),
        (["a/mine", "a/test_data"], ["cat/1", "test_data/cat/1"]),
        (["a/mine", "a/train"], ["cat/1", "cat/1"]),  # parts of one split, which may have no folder above the classes
        (["a/train-1", "a/train-2"], ["cat/1", "cat/1"]),
        (["a/train"], ["cat/1"]),
    ],
)
def test_folders_that_are_named_after_different_splits_keep_their_names(
    sources: list[str], packed: list[str], project: Project
) -> None:
    for source in sources:
        (project.folder / source / "cat").mkdir(parents=True)
        (project.folder / source / "cat/1").write_bytes(b"pixels")
    assert [name for file in fetch(project, sources).values() for name in contents(file)] == packed


def test_a_folder_that_holds_the_folder_of_its_split_is_packed_as_it_is(project: Project) -> None:
    for split in ("train", "val"):
        folder(project.folder / f"a/{split}/{split}")
    assert [*contents(fetch(project, ["a/train", "a/val"])["val.zip"])] == [f"val/{name}" for name in MEMBERS]


def test_archives_that_are_named_after_splits_must_hold_their_folders(project: Project, write_zip: WriteZip) -> None:
    for name in ("a/train.zip", "a/dev-clean.zip"):
        write_zip(name, {"cat/1": b"pixels"})
    write_zip("b/validation.zip", {"x/val/1": b"pixels"})
    write_zip("b/train.npy.zip", {"train.npy": b"numbers"})
    with pytest.raises(InputError, match=rf"^{KEY}: .*a/dev-clean\.zip is named after a split but holds no folder of that"):
        fetch(project, ["b/train.npy.zip", "a/dev-clean.zip"])
    assert [*fetch(project, ["b/train.npy.zip", "b/validation.zip"])] == ["train.npy.zip", "validation.zip"]
    assert [*fetch(project, "a/dev-clean.zip")] == ["dev-clean.zip"]


def test_a_relative_path_starts_at_the_original_repository(
    project: Project, write_zip: WriteZip, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As `dvc exp run --temp` does it: the working directory is a copy, and only DVC_ROOT says of what.
    monkeypatch.setenv("DVC_ROOT", str(project.folder / "original"))
    write_zip("original/data/a.zip", MEMBERS)
    assert [*fetch(project, "data/a.zip")] == ["a.zip"]
    assert [*fetch(project, str(project.folder / "original/data/a.zip"))] == ["a.zip"]


def test_a_tilde_is_the_home_folder(project: Project, write_zip: WriteZip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(project.folder / "home"))
    write_zip("home/a.zip", MEMBERS)
    assert [*fetch(project, "~/a.zip")] == ["a.zip"]


def test_the_sample_is_drawn_on_the_spot(project: Project) -> None:
    assert [*fetch(project, "sample", sample=Sample(train=10, test=2))] == ["cifar-10.zip"]


def make_bad_sources(at: Path, write_zip: WriteZip) -> None:
    folder(at / "good")
    folder(at / "twin/good")
    write_zip("mine/a.zip", MEMBERS)
    write_zip("twin/a.zip", MEMBERS)
    write_zip("twin/good.zip", MEMBERS)
    write_zip("mine/evil.zip", MEMBERS | {"../evil": b""})
    (at / "empty/inner").mkdir(parents=True)
    (at / "text.txt").write_text("text")
    (at / "cut.zip").write_bytes((at / "mine/a.zip").read_bytes()[:-30])


BAD_SOURCES = [
    (["Sample"], f"{KEY}: 'Sample' is neither 'sample' nor a file or folder"),
    (["~nobody-of-this-name/a.zip"], f"{KEY}: '~nobody-of-this-name/a.zip' is neither"),
    ([""], KEY),
    (["mine/a.zip", "twin/a.zip"], "mine/a.zip and twin/a.zip have the same name"),
    (["good", "twin/good.zip"], "good and twin/good.zip have the same name"),
    (["empty"], "empty: the folder holds no files"),
    (["mine/a.zip", "text.txt"], "text.txt: neither a zip nor a tar archive"),
    (["mine/a.zip", "cut.zip"], "cut.zip: "),
    (["mine/a.zip", "mine/evil.zip"], "mine/evil.zip: refused, because the member '../evil'"),
]


def test_a_bad_source_is_named_and_leaves_nothing_half_written(project: Project, write_zip: WriteZip) -> None:
    make_bad_sources(project.folder, write_zip)
    for number, (sources, words) in enumerate(BAD_SOURCES):
        with pytest.raises(InputError) as caught:
            path.fetch(sources, project.folder / f"out/{number}", KEY)
        assert words in str(caught.value)
        assert not list(project.folder.rglob("*.partial"))


def test_no_source_is_named_and_leaves_no_folder(project: Project) -> None:
    for source, words in (([], f"{KEY}: the list is empty"), ("nowhere.zip", f"{KEY}: 'nowhere.zip' is neither")):
        with pytest.raises(InputError) as caught:
            stage(project, source)
        assert words in str(caught.value) and not paths.raw("cifar10").exists()


def test_a_bad_source_leaves_what_was_fetched_before(project: Project, write_zip: WriteZip) -> None:
    source = write_zip("mine/a.zip", MEMBERS)
    stage(project, str(source))
    with pytest.raises(InputError):
        stage(project, "nowhere.zip")
    assert contents(paths.raw("cifar10") / "a.zip") == MEMBERS


def test_another_source_takes_the_place_of_the_one_before(project: Project, write_zip: WriteZip) -> None:
    write_zip("mine/a.zip", MEMBERS)
    write_zip("mine/b.zip", MEMBERS)
    assert stage(project, "mine/a.zip") == ["a.zip"]
    assert stage(project, "mine/b.zip") == ["b.zip"]


def test_fetched_alone_a_source_is_named_by_the_key_it_came_from(project: Project, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^tasks\.speech\.source: 'gone' is neither 'sample' nor"):
        path.fetch(["gone"], tmp_path / "out", "tasks.speech.source")


def test_kaggle_without_a_competition_has_nothing_to_download(project: Project) -> None:
    with pytest.raises(InputError, match=r"^tasks\.cifar10\.competitions: names no competition to download"):
        fetch(project, "kaggle", competitions={})
