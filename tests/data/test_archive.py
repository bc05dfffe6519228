"""Archives: every format reads the same, and what is damaged or dishonest is refused by name."""

import bz2
import gzip
import io
import lzma
import os
import re
import struct
import tarfile
import tracemalloc
import warnings
import zipfile
import zlib
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


@pytest.mark.parametrize("form", FORMATS)
def test_members_are_read_in_the_order_that_is_asked_for_and_nothing_stays_on_disk(form: str, tmp_path: Path) -> None:
    archive, folder = Archive(FORMATS[form](tmp_path)), tmp_path / "folder"
    folder.mkdir()
    for names in (sorted(MEMBERS), sorted(MEMBERS, reverse=True), archive.names[1::2]):
        found = list(archive.ordered(names, folder))
        assert found == [(name, MEMBERS[name]) for name in names]
        assert list(folder.iterdir()) == []
    with pytest.raises(KeyError):
        list(archive.ordered(["not there"], folder))


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


# The content would be a test's name, and gzip's has the time in it, which is another in each test process.
@pytest.mark.parametrize(
    "content",
    [zip_bytes({}), tar_bytes({}), tar_bytes({}, "w:gz"), zip_bytes({"only/": b""})],
    ids=["zip", "tar", "tar.gz", "folder"],
)
def test_an_archive_without_files_is_refused(content: bytes, tmp_path: Path) -> None:
    assert problem(written(tmp_path / "a.zip", content)).endswith("the archive is empty")


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n", b"\0" * 100])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    assert "neither a zip nor a tar archive" in problem(written(tmp_path / "a.zip", content))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "content", [zip_bytes(MEMBERS), tar_bytes(MEMBERS, "w:gz"), tar_bytes(MEMBERS, "w:xz")], ids=["zip", "tar.gz", "tar.xz"]
)
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


def many(num: int) -> dict[str, bytes]:
    return {f"top/{number * 7919 % num:05}": b"%d" % number for number in range(num)}


@pytest.mark.parametrize(
    "content", [zip_bytes(many(3000)), tar_bytes(many(3000)), tar_bytes(many(300), "w:gz")], ids=["zip", "tar", "tar.gz"]
)
def test_any_of_many_members_is_read_alone(content: bytes, tmp_path: Path) -> None:
    archive = Archive(written(tmp_path / "a", content))
    members = dict(archive.members(set(archive.names)))
    assert members == many(len(archive.names)) and list(members) == archive.names
    for name in archive.names[:: len(members) // 100]:
        assert archive.read(name) == members[name]


@pytest.mark.parametrize("content", [zip_bytes(MEMBERS), tar_bytes(MEMBERS)])
def test_a_member_that_is_not_there_is_a_key_error(content: bytes, tmp_path: Path) -> None:
    archive = Archive(written(tmp_path / "a", content))
    for name in ("", "top", "top/b", "zzz"):
        with pytest.raises(KeyError):
            archive.read(name)


def test_an_archive_takes_little_memory_for_a_member(tmp_path: Path) -> None:
    members = dict.fromkeys((f"{number:040}" for number in range(3000)), b"")
    for pack, most in ((zip_bytes, 1000), (tar_bytes, 450)):  # with the list that zipfile makes before it is thrown away
        path = written(tmp_path / "a", pack(members))
        tracemalloc.start()
        archive = Archive(path)
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert now / len(archive.names) < 200 and peak / len(archive.names) < most  # zipfile.ZipFile and tarfile: over 600


def bomb(pack: Callable[..., bytes], *mode: TarMode) -> bytes:
    return pack({"small": b"1", "zeros": bytes(10**6), "last": b"1"}, *mode)


BOMBS = {
    "zip": lambda: bomb(zip_bytes),
    "zip in bzip2": lambda: zip_bytes({"small": b"1", "zeros": bytes(10**6)}, zipfile.ZIP_BZIP2),
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


def test_a_stream_that_goes_on_after_the_tar_s_end_meets_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar.gz", gzip.compress(tar_bytes({"small": b"1"}) + bytes(10**7)))
    with pytest.raises(InputError, match=r"with padding of .* max_unpacked_gb"):
        Archive(path, max_bytes=5 * 10**6)


def directory_changed(content: bytes, **fields: int) -> bytes:
    """The fields of the last entry in a zip's central directory, overwritten."""
    places = {"crc": ("<I", 16), "stored": ("<I", 20), "size": ("<I", 24), "offset": ("<I", 42)}
    changed = bytearray(content)
    for name, value in fields.items():
        form, place = places[name]
        struct.pack_into(form, changed, content.rindex(b"PK\x01\x02") + place, value)
    return bytes(changed)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_member_that_unpacks_to_more_than_it_declares_is_stopped_there(method: int, tmp_path: Path) -> None:
    honest = zip_bytes({"good": b"1", "zeros": bytes(10**7)}, method)
    # With the checksum of what it declares, so that nothing but its length tells.
    path = written(tmp_path / "a.zip", directory_changed(honest, size=1000, crc=zlib.crc32(bytes(1000))))
    archive = Archive(path, max_bytes=2000)
    tracemalloc.start()
    with pytest.raises(InputError, match="zeros unpacks to more than the 1,000 bytes that it declares"):
        archive.read("zeros")
    if method != zipfile.ZIP_STORED:  # whose length in the archive is no secret
        assert tracemalloc.get_traced_memory()[1] < 2 * 10**6
    tracemalloc.stop()


def test_a_member_that_unpacks_to_less_than_it_declares_is_refused(tmp_path: Path) -> None:
    honest = zip_bytes({"good": b"1", "zeros": bytes(1000)})
    assert "damaged" in problem(written(tmp_path / "a.zip", directory_changed(honest, size=2**32 - 2)))


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    content = zip_bytes({"zeros": bytes(1000), "twin!": bytes(1000)})
    assert "lies over another member or beyond the end" in problem(
        written(tmp_path / "a.zip", directory_changed(content, offset=0))
    )
    assert "twin! lies over another member" in problem(written(tmp_path / "a.zip", directory_changed(content, stored=10**6)))


def test_a_name_that_differs_between_directory_and_member_is_refused(tmp_path: Path) -> None:
    content = bytearray(zip_bytes({"one": b"1"}))
    content[content.rindex(b"one")] ^= 1
    assert "nne is not where the directory says" in problem(written(tmp_path / "a.zip", bytes(content)))


def test_a_member_without_a_name_or_with_a_hidden_end_is_refused(tmp_path: Path) -> None:
    empty, hidden = zip_bytes({"n": b"1"}), zip_bytes({"good.evil": b"1"}).replace(b"good.evil", b"good\0evil")
    place = empty.rindex(b"PK\x01\x02")
    directory = bytearray(empty[place:].replace(b"n", b"", 1))
    struct.pack_into("<H", directory, 28, 0)
    struct.pack_into("<I", directory, len(directory) - 10, 46)  # the directory's own length, in its end record
    assert "is no name for a member" in problem(written(tmp_path / "a.zip", empty[:place] + directory))
    assert "'good\\x00evil' is no name for a member" in problem(written(tmp_path / "a.zip", hidden))
    assert "'' is no name for a member" in problem(written(tmp_path / "a.tar", tar_bytes({"": b"1"})))


def tar_of(*headers: tuple[bytes, bytes | None, int, bytes]) -> bytes:
    """A tar of headers (type, name, declared size) each followed by its content, whatever it declares."""
    result = b""
    for kind, name, size, content in headers:
        info = tarfile.TarInfo((name or b"member").decode())
        info.type, info.size = kind, size
        result += info.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % 512)
    return result + bytes(1024)


def pax(**records: str) -> bytes:
    return b"".join(b"%02d %s=%s\n" % (len(k) + len(v) + 5, k.encode(), v.encode()) for k, v in records.items())


GOOD = (tarfile.REGTYPE, b"good", 1, b"1")
TRAPS = {
    "a long name of 8 GB": [(tarfile.GNUTYPE_LONGNAME, b"././@LongLink", 8 * 10**9, b"name"), GOOD],
    "a pax header of 8 GB": [(tarfile.XHDTYPE, b"pax", 8 * 10**9, pax(path="x")), GOOD],
    "a pax header of a negative length": [GOOD, (tarfile.XHDTYPE, b"pax", -512, pax(path="x")), GOOD],
    "a negative size": [GOOD, (tarfile.REGTYPE, b"evil", -512, b""), GOOD],
    "a size just below zero": [GOOD, (tarfile.REGTYPE, b"evil", -5, b""), GOOD],
    # tarfile goes back to the header itself, and round and round (CVE-2025-8194).
    "a size that leads back": [GOOD, (tarfile.XHDTYPE, b"pax", 14, pax(size="-1536")), (tarfile.REGTYPE, b"evil", 0, b"")],
    "a name that is left out, whose size leads back": [
        GOOD,
        (tarfile.XHDTYPE, b"pax", 14, pax(size="-1536")),
        (tarfile.REGTYPE, b"__MACOSX/evil", 0, b""),
    ],
    "a header of headers without end": [(tarfile.GNUTYPE_LONGNAME, b"././@LongLink", 5, b"name\0")] * 3000,
    "a sparse file of 8 GB": [GOOD, (tarfile.GNUTYPE_SPARSE, b"sparse", 0, b"")],
}


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_header_that_leads_tarfile_astray_is_refused_at_once(
    trap: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    content = bytearray(tar_of(*TRAPS[trap]))
    if "sparse" in trap:  # its size once expanded has a place of its own, and the checksum covers it
        place = content.index(b"sparse")
        content[place + 483 : place + 495] = b"%011o\0" % (8 * 10**9)
        content[place + 148 : place + 156] = b" " * 8
        content[place + 148 : place + 156] = b"%06o\0 " % sum(content[place : place + 512])
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            assert tar.getmembers()[1].size == 8 * 10**9
    tracemalloc.start()
    problem(written(tmp_path / "a", pack(bytes(content))))
    assert tracemalloc.get_traced_memory()[1] < 5 * 10**6
    tracemalloc.stop()


def test_a_long_name_is_no_trap(tmp_path: Path) -> None:
    members = {"/".join(["long"] * 500): b"1"}
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        assert read_all(tmp_path / "a.tar") == members


def test_a_zip_within_an_archive_stays_packed_and_a_tar_that_ends_with_one_is_a_tar(tmp_path: Path) -> None:
    inner = zip_bytes({"../evil": b"1"}, zipfile.ZIP_STORED)
    members = {"good": b"1", "inner.zip": inner}
    for content in (tar_bytes(members), zip_bytes(members), zip_bytes(members, zipfile.ZIP_STORED)):
        assert read_all(written(tmp_path / "a", content)) == members
    assert zipfile.is_zipfile(written(tmp_path / "a", tar_bytes(members)))  # what would be fooled


def test_names_from_before_unicode_are_read_as_code_page_437(tmp_path: Path) -> None:
    name = "naïve/ñ".encode("cp437")
    content = zip_bytes({"_" * len(name): b"1"}).replace(b"_" * len(name), name)
    assert read_all(written(tmp_path / "a.zip", content)) == {"naïve/ñ": b"1"}


def test_the_notes_that_a_mac_adds_are_left_out(tmp_path: Path) -> None:
    notes = {"__MACOSX/top/._a": b"2", "top/__MACOSX/kept": b"3"}
    for pack in (zip_bytes, tar_bytes):
        assert Archive(written(tmp_path / "a", pack({"top/a": b"1"} | notes))).names == ["top/a", "top/__MACOSX/kept"]


def test_a_zip_that_says_it_is_one_of_several_files_is_refused(tmp_path: Path) -> None:
    content = zip_bytes({"a": b"1"})
    place = content.index(b"PK\5\6")
    end_of_64_bits = struct.pack("<4sQ2HIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, place, 0)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, place, 2)
    path = written(tmp_path / "a.zip", content[:place] + end_of_64_bits + locator + content[place:])
    assert "the archive is damaged (zipfiles that span multiple disks" in problem(path)


def test_a_zip_after_something_else_is_a_zip(tmp_path: Path) -> None:
    assert read_all(written(tmp_path / "a.exe", b"MZ" + bytes(1000) + zip_bytes(MEMBERS))) == MEMBERS


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_that_is_no_tar_is_refused(compress: Callable[[bytes], bytes], tmp_path: Path) -> None:
    assert "neither a zip nor a tar archive" in problem(written(tmp_path / "a.csv.gz", compress(b"id,label\n" * 100)))


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


FIELDS = [(6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (38, 4), (42, 4)]  # places and lengths


@quick
@given(st.integers(0, len(MEMBERS) - 1), st.sampled_from(FIELDS), st.binary(min_size=4, max_size=4))
def test_a_forged_directory_never_yields_more_than_the_limit_or_anything_but_the_members(
    tmp_path: Path, member: int, field: tuple[int, int], value: bytes
) -> None:
    changed, (place, length) = bytearray(ZIP), field
    start = [match.start() for match in re.finditer(b"PK\x01\x02", ZIP)][member] + place
    changed[start : start + length] = value[:length]
    try:
        archive = Archive(written(tmp_path / "a", bytes(changed)), max_bytes=10_000)
        assert archive.size <= 10_000
        assert dict(archive.members(set(archive.names))).items() <= MEMBERS.items()
    except InputError as error:
        assert str(tmp_path) in str(error)


@quick
@given(st.lists(st.tuples(st.text(st.sampled_from("ab/.\0ü\\"), min_size=1, max_size=4), st.binary(max_size=5)), max_size=5))
def test_a_zip_and_a_tar_accept_the_same_names(tmp_path: Path, members: list[tuple[str, bytes]]) -> None:
    results = []
    for pack in (zip_bytes, tar_bytes):
        kept = {name: content for name, content in members if not name.endswith("/") and "\0" not in name}
        try:
            results.append(read_all(written(tmp_path / "a", pack(kept))))
        except InputError:
            results.append({})
    assert results[0] == results[1]
    assert all(not name.startswith("/") and ".." not in name.split("/") for name in results[0])
