"""Archives: every format reads the same, and what is damaged or dishonest is refused by name."""

import gzip
import io
import os
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stages.engine.archive import Archive, open_all, pack_folder
from stages.engine.errors import InputError

MEMBERS = {
    "top/a.txt": b"hello " * 100,
    "top/empty": b"",
    "top/inner/b.bin": bytes(range(256)) * 3,
    "top/ümlaut.txt": np.random.default_rng(0).bytes(300),
}
TarMode = Literal["w", "w:gz", "w:bz2", "w:xz"]


def zip_bytes(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tar_bytes(members: dict[str, bytes], mode: TarMode = "w", kinds: dict[str, bytes] | None = None) -> bytes:
    """kinds: by member, a type other than a file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.type, info.linkname = len(content), (kinds or {}).get(name, tarfile.REGTYPE), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def folder(path: Path, members: dict[str, bytes]) -> Path:
    for name, content in members.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read_all(path: Path) -> dict[str, bytes]:
    archive = Archive(path)
    return dict(archive.members(set(archive.names)))


def problem(path: Path) -> str:
    """The refusal's message, which has to name the archive."""
    with pytest.raises(InputError) as caught:
        read_all(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def packed(path: Path) -> Path:
    pack_folder(folder(path / "source", MEMBERS), path / "packed.zip")
    return path / "packed.zip"


FORMATS: dict[str, Callable[[Path], Path]] = {
    "stored zip": lambda path: written(path / "a.zip", zip_bytes(MEMBERS, zipfile.ZIP_STORED)),
    "zip": lambda path: written(path / "a.zip", zip_bytes({"top/": b""} | MEMBERS)),
    "tar": lambda path: written(path / "a.tar", tar_bytes({"top": b""} | MEMBERS, kinds={"top": tarfile.DIRTYPE})),
    "tar.gz": lambda path: written(path / "a.tar.gz", tar_bytes(MEMBERS, "w:gz")),
    "tar.bz2": lambda path: written(path / "a", tar_bytes(MEMBERS, "w:bz2")),
    "tar.xz": lambda path: written(path / "a.zip", tar_bytes(MEMBERS, "w:xz")),  # what counts is the content, not the name
    "folder": packed,
}


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_reads_the_same(form: str, tmp_path: Path) -> None:
    archive = Archive(FORMATS[form](tmp_path))
    assert sorted(archive.names) == sorted(MEMBERS)
    assert dict(archive.members(set(archive.names))) == MEMBERS
    assert {name: archive.read(name) for name in MEMBERS} == MEMBERS


@pytest.mark.parametrize("form", FORMATS)
def test_only_the_wanted_members_are_read_and_in_the_archive_s_order(form: str, tmp_path: Path) -> None:
    archive = Archive(FORMATS[form](tmp_path))
    wanted = {"top/inner/b.bin", "top/a.txt", "not there"}
    assert [name for name, _ in archive.members(wanted)] == ["top/a.txt", "top/inner/b.bin"]


def test_a_folder_packs_to_the_same_bytes_whatever_its_files_times_modes_and_order(tmp_path: Path) -> None:
    first = folder(tmp_path / "first", MEMBERS)
    second = folder(tmp_path / "second", dict(reversed(MEMBERS.items())))
    for name in MEMBERS:
        os.utime(second / name, (1e9, 1e9))
        (second / name).chmod(0o700)
    for source in (first, second):
        pack_folder(source, tmp_path / f"{source.name}.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    (second / "top/a.txt").write_bytes(b"changed")
    pack_folder(second, tmp_path / "second.zip")
    assert (tmp_path / "first.zip").read_bytes() != (tmp_path / "second.zip").read_bytes()


def test_a_folder_s_files_are_packed_in_order(tmp_path: Path) -> None:
    names = [f"{number:02}" for number in range(20)]
    pack_folder(folder(tmp_path / "source", dict.fromkeys(names[7:] + names[:7], b"")), tmp_path / "packed.zip")
    assert Archive(tmp_path / "packed.zip").names == names


def test_an_empty_folder_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "source/inner").mkdir(parents=True)
    with pytest.raises(InputError, match="source: the folder holds no files"):
        pack_folder(tmp_path / "source", tmp_path / "out" / "packed.zip")
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


def test_all_archives_of_a_folder_are_opened_by_name_but_not_its_hidden_files(tmp_path: Path) -> None:
    for name in ("b.zip", "a.zip", ".a.zip.partial"):
        (tmp_path / name).write_bytes(zip_bytes(MEMBERS))
    assert [archive.path.name for archive in open_all(tmp_path)] == ["a.zip", "b.zip"]


def test_a_folder_without_archives_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no archive; `dvc repro` downloads them"):
        open_all(tmp_path)


@pytest.mark.parametrize("content", [zip_bytes({}), tar_bytes({}), tar_bytes({}, "w:gz"), zip_bytes({"only/": b""})])
def test_an_archive_without_files_is_refused(content: bytes, tmp_path: Path) -> None:
    assert problem(written(tmp_path / "a.zip", content)).endswith("the archive is empty")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n", b"\0" * 100])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    assert "neither a zip nor a tar archive" in problem(written(tmp_path / "a.zip", content))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("content", [zip_bytes(MEMBERS), tar_bytes(MEMBERS, "w:gz"), tar_bytes(MEMBERS, "w:xz")])
def test_a_truncated_archive_is_refused(content: bytes, share: float, tmp_path: Path) -> None:
    problem(written(tmp_path / "a", content[: int(share * len(content))]))


def test_a_plain_tar_that_stops_before_its_end_mark_is_refused(tmp_path: Path) -> None:
    # tarfile takes the end of the file for the end of the archive, so a cut between members would go unnoticed.
    content = tar_bytes({"a": b"1", "b": b"2"})
    for blocks in range(1, 4):
        problem(written(tmp_path / "a.tar", content[: 512 * blocks]))
    assert read_all(written(tmp_path / "a.tar", content)) == {"a": b"1", "b": b"2"}


def test_a_tar_with_a_damaged_header_between_members_is_refused(tmp_path: Path) -> None:
    content = bytearray(tar_bytes({"a": b"1", "b": b"2"}))
    content[1024] ^= 1  # the first letter of the second member's name, which its header's checksum covers
    problem(written(tmp_path / "a.tar", bytes(content)))


@pytest.mark.parametrize("name", ["../evil", "top/../../evil", "/etc/evil", "..", "top\\..\\evil"])
@pytest.mark.parametrize("pack", [zip_bytes, tar_bytes])
def test_a_member_that_leaves_its_folder_is_refused(pack: Callable[..., bytes], name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", pack({"good": b"1", name: b"2"}))
    assert f"the member {name!r} is a link or leaves its folder" in problem(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_a_tar_with_a_link_or_a_device_is_refused(kind: bytes, tmp_path: Path) -> None:
    content = tar_bytes({"good": b"1", "link": b""}, kinds={"link": kind})
    assert "'link' is a link" in problem(written(tmp_path / "a.tar", content))


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    assert "'link' is a link" in problem(tmp_path / "a.zip")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with warnings.catch_warnings(), zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of what is meant here
        archive.writestr("twin", "1")
        archive.writestr("twin", "2")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for _ in range(2):
            tar.addfile(tarfile.TarInfo("twin"))
    for name in ("a.zip", "a.tar"):
        assert "holds twin twice" in problem(tmp_path / name)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"good": b"1", "secret": b"2"}))
    content[content.rindex(b"PK\x01\x02") + 8] |= 1  # the flags in the central directory's last entry
    assert "secret is encrypted" in problem(written(tmp_path / "a.zip", bytes(content)))


def test_a_compression_that_python_does_not_know_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"good": b"1"}))
    for mark, offset in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        struct.pack_into("<H", content, content.rindex(mark) + offset, 97)
    problem(written(tmp_path / "a.zip", bytes(content)))


quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
STARTS = [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b\x08\0", b"BZh9", b"\xfd7zXZ\0", tar_bytes({"a": b"1"})[:512]]
GZ, ZIP, XZ = gzip.compress(tar_bytes(MEMBERS), mtime=0), zip_bytes(MEMBERS), tar_bytes(MEMBERS, "w:xz")


@quick
@given(st.sampled_from(STARTS), st.binary(max_size=300), st.booleans())
def test_random_bytes_are_at_most_an_input_error(tmp_path: Path, start: bytes, content: bytes, is_zip: bool) -> None:
    end = b"PK\x05\x06" + content[-18:].ljust(18, b"\0") if is_zip else b""  # with it, zipfile takes it for a zip
    try:
        read_all(written(tmp_path / "a", start + content + end))
    except InputError as error:
        assert str(tmp_path) in str(error)


@quick
@given(st.sampled_from([GZ, ZIP, XZ]), st.floats(0, 1))
def test_a_cut_archive_reads_in_full_or_is_an_input_error(tmp_path: Path, content: bytes, share: float) -> None:
    try:
        assert read_all(written(tmp_path / "a", content[: round(share * len(content))])) == MEMBERS
    except InputError as error:
        assert str(tmp_path) in str(error)


@quick
@given(st.sampled_from([GZ, XZ]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@example(GZ, 0.5, 1)
def test_a_changed_byte_in_a_compressed_tar_is_found(tmp_path: Path, content: bytes, place: float, mask: int) -> None:
    # Its checksum stands at the very end, which tarfile has no need to read.
    changed = bytearray(content)
    changed[int(place * len(content))] ^= mask
    try:
        assert read_all(written(tmp_path / "a", bytes(changed))) == MEMBERS
    except InputError as error:
        assert str(tmp_path) in str(error)


@quick
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_in_a_zip_never_changes_a_member(tmp_path: Path, place: float, mask: int) -> None:
    changed = bytearray(ZIP)
    changed[int(place * len(ZIP))] ^= mask
    try:
        assert read_all(written(tmp_path / "a", bytes(changed))).items() <= MEMBERS.items()
    except InputError as error:
        assert str(tmp_path) in str(error)
