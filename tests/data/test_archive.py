"""Archives: every format reads the same, and what is damaged or dishonest is refused by name."""

import gzip
import io
import os
import shutil
import struct
import tarfile
import tracemalloc
import unicodedata
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.archive import Archive, open_all, pack_folder

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
def test_every_format_reads_the_same_and_in_the_order_that_is_asked_for(form: str, tmp_path: Path) -> None:
    archive, folder = Archive(FORMATS[form](tmp_path)), tmp_path / "folder"
    assert sorted(archive.names) == sorted(MEMBERS)
    assert dict(archive.members(set(archive.names))) == MEMBERS
    assert {name: archive.read(name) for name in MEMBERS} == MEMBERS
    wanted = {"top/inner/b.bin", "top/a.txt", "not there"}
    assert [name for name, _ in archive.members(wanted)] == ["top/a.txt", "top/inner/b.bin"]
    folder.mkdir()
    for names in (sorted(MEMBERS), sorted(MEMBERS, reverse=True), archive.names[1::2]):
        assert list(archive.ordered(names, folder)) == [(name, MEMBERS[name]) for name in names]
        assert list(folder.iterdir()) == []


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


def test_an_empty_folder_below_one_with_files_is_listed(tmp_path: Path) -> None:
    source = folder(tmp_path / "source", MEMBERS)
    (source / "empty/inner").mkdir(parents=True)
    (source / ".hidden").mkdir()
    pack_folder(source, tmp_path / "packed.zip")
    packed = Archive(tmp_path / "packed.zip")
    assert packed.folders == ["empty/inner"] and set(packed.names) == set(MEMBERS)
    shutil.make_archive(str(tmp_path / "made"), "tar", source)
    assert {name.removeprefix("./") for name in Archive(tmp_path / "made.tar").folders} >= {"empty", "empty/inner"}


def test_all_archives_of_a_folder_are_opened_by_name_but_not_its_hidden_files(tmp_path: Path) -> None:
    for name in ("b.zip", "a.zip", ".a.zip.partial"):
        (tmp_path / name).write_bytes(zip_bytes(MEMBERS))
    assert [archive.path.name for archive in open_all(tmp_path)] == ["a.zip", "b.zip"]


def test_a_folder_without_archives_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no archive; `dvc repro` downloads them"):
        open_all(tmp_path)


# The content would be a test's name, and gzip's has the time in it, which is another in each test process.
@pytest.mark.parametrize(
    "content",
    [zip_bytes({}), tar_bytes({}), tar_bytes({}, "w:gz"), zip_bytes({"only/": b""})],
    ids=["zip", "tar", "tar.gz", "folder"],
)
def test_an_archive_without_files_is_refused(content: bytes, tmp_path: Path) -> None:
    assert problem(written(tmp_path / "a.zip", content)).endswith("the archive is empty")


@pytest.mark.parametrize("content", [b"", b"text"])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    assert "neither a zip nor a tar archive" in problem(written(tmp_path / "a.zip", content))


@pytest.mark.parametrize(
    "content", [zip_bytes(MEMBERS), tar_bytes(MEMBERS, "w:gz"), tar_bytes(MEMBERS, "w:xz")], ids=["zip", "tar.gz", "tar.xz"]
)
def test_a_truncated_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    for share in (0.1, 0.9):
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


@pytest.mark.parametrize("name", ["top/../../evil", "/etc/evil", "top\\..\\evil"])
@pytest.mark.parametrize("pack", [zip_bytes, tar_bytes])
def test_a_member_that_leaves_its_folder_is_refused(pack: Callable[..., bytes], name: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", pack({"good": b"1", name: b"2"}))
    shown = name.replace("\\", "/") if pack is zip_bytes else name  # a zip without slashes was packed with backslashes
    assert f"the member {shown!r} is a link or leaves its folder" in problem(path)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
)
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


def test_a_compression_that_is_not_bounded_by_the_declared_size_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zip", zip_bytes({"good": b"1"}, zipfile.ZIP_BZIP2))
    assert "good is compressed by method 12; pack the archive again, deflated" in problem(path)


def bomb(pack: Callable[..., bytes], *mode: TarMode) -> bytes:
    return pack({"small": b"1", "zeros": bytes(10**6), "last": b"1"}, *mode)


BOMBS = {
    "zip": lambda: bomb(zip_bytes),
    "tar": lambda: bomb(tar_bytes),
    "tar.gz": lambda: bomb(tar_bytes, "w:gz"),
    "tar.xz": lambda: bomb(tar_bytes, "w:xz"),
}


@pytest.mark.parametrize("form", BOMBS)
def test_what_unpacks_to_more_than_the_limit_is_refused_by_member_size_and_key(form: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a", BOMBS[form]())
    with pytest.raises(InputError, match=r"with zeros of 1,000,000 bytes .* the 0\.001 GB that max_unpacked_gb") as caught:
        Archive(path, max_bytes=10**6)
    assert str(path) in str(caught.value)
    size = Archive(path, max_bytes=2 * 10**6).size
    assert 10**6 < size < 10**6 + 20_000  # a tar's is rounded up to whole records
    assert Archive(path, max_bytes=size).size == size
    with pytest.raises(InputError):
        Archive(path, max_bytes=size - 1)


def test_the_limit_is_for_all_archives_of_a_folder_together(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        written(tmp_path / name, zip_bytes({"zeros": bytes(1000)}))
    assert [archive.size for archive in open_all(tmp_path, max_bytes=2000)] == [1000, 1000]
    with pytest.raises(InputError, match=r"b\.zip: .* zeros of 1,000 bytes .* max_unpacked_gb"):
        open_all(tmp_path, max_bytes=1999)


def test_a_tar_s_bomb_is_found_by_its_header_before_its_content_is_unpacked(tmp_path: Path) -> None:
    # A stream that ends right after the header of a member of 1 TB: had anything been unpacked, it would be damaged.
    info = tarfile.TarInfo("huge")
    info.size = 10**12
    path = written(tmp_path / "a.tar.gz", gzip.compress(tar_bytes({"small": b"1"})[:1024] + info.tobuf()))
    with pytest.raises(InputError, match=r"with huge of 1,000,000,000,000 bytes"):
        Archive(path, max_bytes=10**9)
    assert "damaged" in problem(path)


def test_no_more_of_a_member_is_unpacked_than_it_declares(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"zeros": bytes(10**8)}))
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 1000)  # its size in the central directory
    archive = Archive(written(tmp_path / "a.zip", bytes(content)), max_bytes=2000)
    tracemalloc.start()
    with pytest.raises(InputError, match="damaged"):
        archive.read("zeros")
    assert tracemalloc.get_traced_memory()[1] < 10**6
    tracemalloc.stop()


def test_a_zip_within_an_archive_stays_packed_and_a_tar_that_ends_with_one_is_a_tar(tmp_path: Path) -> None:
    inner = zip_bytes({"../evil": b"1"}, zipfile.ZIP_STORED)
    members = {"good": b"1", "inner.zip": inner}
    for content in (tar_bytes(members), zip_bytes(members), zip_bytes(members, zipfile.ZIP_STORED)):
        assert read_all(written(tmp_path / "a", content)) == members
    assert zipfile.is_zipfile(written(tmp_path / "a", tar_bytes(members)))  # what would be fooled


def test_hidden_files_and_litter_are_left_out_at_any_depth(tmp_path: Path) -> None:
    names = ("__MACOSX/top/._a", "top/__MACOSX/b", "top/._a", ".ipynb_checkpoints/a", "top/Thumbs.db", "top/.DS_Store")
    for pack in (zip_bytes, tar_bytes):
        assert Archive(written(tmp_path / "a", pack({"top/a": b"1", **dict.fromkeys(names, b"2")}))).names == ["top/a"]


def test_a_zip_that_was_packed_with_backslashes_has_folders(tmp_path: Path) -> None:
    archive = Archive(written(tmp_path / "a", zip_bytes({"top\\sub\\a": b"1", "top\\": b""})))
    assert archive.names == ["top/sub/a"] and archive.read("top/sub/a") == b"1"


@pytest.mark.parametrize("encoding", ["utf-8", "cp437"])  # Info-ZIP's on Linux, and that of the zip format
def test_a_zip_that_does_not_mark_its_names_as_utf_8_keeps_their_accents(encoding: str, tmp_path: Path) -> None:
    raw = "café".encode(encoding)
    content = zip_bytes({"x" * len(raw) + "/a": b"1"}).replace(b"x" * len(raw), raw)  # an ASCII name has no mark
    assert read_all(written(tmp_path / "a.zip", content)) == {"café/a": b"1"}


def test_names_are_compared_in_one_form_of_unicode(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "é")
    assert Archive(written(tmp_path / "a", zip_bytes({decomposed: b"1"}))).names == ["é"]
    assert "holds é twice" in problem(written(tmp_path / "a", zip_bytes({decomposed: b"1", "é": b"2"})))


def test_links_in_a_folder_are_followed_and_never_lost(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a").write_bytes(b"1")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    pack_folder(folder, tmp_path / "a.zip")
    assert Archive(tmp_path / "a.zip").names == ["linked/a"]
    (tmp_path / "elsewhere/loop").symlink_to(folder)
    with pytest.raises(InputError, match=r"loop: is a link to .*folder, a folder above it"):
        pack_folder(folder, tmp_path / "a.zip")
    (tmp_path / "elsewhere/loop").unlink()
    (folder / "broken").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"broken: is a link to .*nowhere, which does not exist"):
        pack_folder(folder, tmp_path / "a.zip")


def test_a_file_name_that_is_not_unicode_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9")).write_bytes(b"1")
    with pytest.raises(InputError, match="the file's name is not Unicode"):
        pack_folder(folder, tmp_path / "a.zip")


def test_a_compressed_file_that_is_no_tar_is_refused(tmp_path: Path) -> None:
    assert "neither a zip nor a tar archive" in problem(written(tmp_path / "a.csv.gz", gzip.compress(b"id,label\n" * 100)))


quick = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
GZ, ZIP, XZ = gzip.compress(tar_bytes(MEMBERS), mtime=0), zip_bytes(MEMBERS), tar_bytes(MEMBERS, "w:xz")


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
