"""A 7z inside a zip: every member arrives in a zip of its own, and what is damaged or dishonest is refused by name."""

import io
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.sources.sevenzip import repack
from tests.tasks.cifar10.test_raw import KAGGLE, contents, pack

WriteZip = Callable[[str, dict[str, bytes]], Path]
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LZMA2: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 1 << 16}]
LZMA1: list[dict[str, Any]] = [{"id": lzma.FILTER_LZMA1, "preset": 0}]
MEMBERS = {
    "train/10.png": np.random.default_rng(0).bytes(3000),
    "train/9.png": b"hello " * 50_000,
    "train/empty": b"",
    "train/ümlaut.txt": b"text",
}


def sevenzip(members: dict[str, bytes], *, filters: list[dict[str, Any]] = LZMA2, num_blocks: int = 1) -> bytes:
    """The members as a 7z, dealt to blocks in turn. Its header is left plain, so that a test can change it."""
    buffer = io.BytesIO()
    for block in range(num_blocks):
        buffer.seek(0)
        with py7zr.SevenZipFile(buffer, "a" if block else "w", filters=filters) as archive:
            archive.set_encoded_header_mode(False)
            for name, content in list(members.items())[block::num_blocks]:
                archive.writestr(content, name)
    return buffer.getvalue()


def resealed(content: bytes) -> bytes:
    """With the checksums that fit the header."""
    offset, size = struct.unpack_from("<QQ", content, 12)
    start = content[12:28] + struct.pack("<I", zlib.crc32(content[32 + offset : 32 + offset + size]))
    return content[:8] + struct.pack("<I", zlib.crc32(start)) + start + content[32:]


def forged(content: bytes, old: bytes, new: bytes) -> bytes:
    """With other bytes in the header."""
    assert len(old) == len(new)
    assert content.count(old) == 1
    return resealed(content.replace(old, new))


def renamed(old: str, new: str) -> bytes:
    """A 7z whose member `old` claims another name."""
    content = sevenzip({"train/1.png": b"one", "train/2.png": b"two"})
    return forged(content, old.encode("utf-16le"), new.encode("utf-16le"))


def unpack(path: Path) -> dict[str, bytes]:
    archive = Archive(path)
    return dict(archive.members(set(archive.names)))


def repacked(folder: Path, content: bytes, max_bytes: int = 10**8) -> dict[str, bytes]:
    """The members that a zip with train.7z yields; the folder for the new zips is made again."""
    out = folder / "out"
    out.mkdir(exist_ok=True)
    (out / "train.zip").unlink(missing_ok=True)
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/train.7z", content)
        archive.writestr("labels.csv", "id,label\n")
    assert repack(folder / "a.zip", out, max_bytes=max_bytes) == [out / "train.zip"]
    assert [path.name for path in out.iterdir()] == ["train.zip"]
    return unpack(out / "train.zip")


def refusal(folder: Path, content: bytes, max_bytes: int = 10**8) -> str:
    """The message, which has to name archive and member; nothing must be left behind."""
    with pytest.raises(InputError) as caught:
        repacked(folder, content, max_bytes)
    start = f"{folder / 'a.zip'}: inner/train.7z: "
    assert str(caught.value).startswith(start)
    assert not list((folder / "out").iterdir())
    return str(caught.value).removeprefix(start)


@pytest.mark.parametrize(
    ("filters", "num_blocks"),
    [(LZMA2, 3), (LZMA1, 1), ([{"id": py7zr.FILTER_COPY}], 3), ([{"id": py7zr.FILTER_X86}, *LZMA2], 1)],
    ids=["LZMA2", "LZMA", "stored", "py7zr's own choice"],
)
def test_every_member_arrives_in_the_order_of_the_7z(filters: list[dict[str, Any]], num_blocks: int, tmp_path: Path) -> None:
    content = sevenzip(MEMBERS, filters=filters, num_blocks=num_blocks)
    with py7zr.SevenZipFile(io.BytesIO(content)) as archive:
        streams: Any = archive.header.main_streams
        assert len(streams.unpackinfo.folders) == num_blocks
        names = archive.namelist()
    found = repacked(tmp_path, content)
    assert found == MEMBERS
    assert list(found) == names


def test_a_packed_header_and_folders_are_read_as_any_7z_has_them(tmp_path: Path) -> None:
    (tmp_path / "train/inner").mkdir(parents=True)
    (tmp_path / "train/1.png").write_bytes(b"one")
    (tmp_path / "train/inner/empty").touch()
    with py7zr.SevenZipFile(tmp_path / "b.7z", "w", filters=LZMA2) as archive:
        archive.writeall(tmp_path / "train", "train")
    assert repacked(tmp_path, (tmp_path / "b.7z").read_bytes()) == {"train/1.png": b"one", "train/inner/empty": b""}


def test_the_same_7z_gives_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        repacked(tmp_path / name, sevenzip(MEMBERS))
        written.append((tmp_path / name / "out/train.zip").read_bytes())
    assert written[0] == written[1]
    with zipfile.ZipFile(tmp_path / "first/out/train.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_archives_without_a_7z_are_left_alone(write_zip: WriteZip, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("train.7z"))
    for path in (write_zip("a.zip", {"train/1.png": b""}), tmp_path / "a.tar"):
        assert repack(path, tmp_path / "out", max_bytes=10**8) == []
    assert not (tmp_path / "out").exists()


def test_a_7z_that_lies_unpacked_beside_itself_is_left_alone(write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("a.zip", {"x/train.7z": b"", "x/train/deep/1.png": b""})
    assert repack(path, tmp_path, max_bytes=10**8) == []


@pytest.mark.parametrize("names", [["a/train.7z", "b/train.7z"], ["mine.7z"]])
def test_two_zips_of_one_name_are_refused(names: list[str], write_zip: WriteZip, tmp_path: Path) -> None:
    path = write_zip("mine.zip", {name: sevenzip(MEMBERS) for name in names})
    with pytest.raises(InputError, match=re.escape(f"{path}: {names[-1]}: its members would go to ")):
        repack(path, tmp_path, max_bytes=10**8)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/rain/2.png", "leaves its folder"),
        ("../in/2.png", "leaves its folder"),
        ("..\\in/2.png", "leaves its folder"),
        ("train/1.png", "holds train/1.png twice"),
        ("\0rain/2.png", ""),
    ],
)
def test_a_member_with_a_dishonest_name_is_refused(name: str, words: str, tmp_path: Path) -> None:
    content = sevenzip({"train/1.png": b"one", "train/2.png": b"two"})
    changed = forged(content, "train/2.png".encode("utf-16le"), name.encode("utf-16le"))
    assert words in refusal(tmp_path, changed)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.png").symlink_to("/etc/passwd")
    with py7zr.SevenZipFile(tmp_path / "b.7z", "w", filters=LZMA2) as archive:
        archive.write(tmp_path / "1.png", "train/1.png")
    assert "the member 'train/1.png' is a link" in refusal(tmp_path, (tmp_path / "b.7z").read_bytes())


@pytest.mark.parametrize("header_encryption", [False, True])
def test_an_encrypted_7z_is_refused(header_encryption: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password="secret", header_encryption=header_encryption) as archive:
        archive.writestr(b"pixels", "train/1.png")
    assert refusal(tmp_path, buffer.getvalue()) == "the archive is encrypted"


def test_another_method_is_refused_with_advice(tmp_path: Path) -> None:
    content = sevenzip(MEMBERS, filters=[{"id": py7zr.FILTER_DEFLATE}])
    assert "pack the archive again, by LZMA2" in refusal(tmp_path, content)


@pytest.mark.parametrize("content", [b"", b"no 7z at all", sevenzip({})])
def test_what_is_no_7z_or_empty_is_refused(content: bytes, tmp_path: Path) -> None:
    assert refusal(tmp_path, content)


def test_what_unpacks_to_more_than_the_limit_is_refused(tmp_path: Path) -> None:
    bomb = sevenzip({f"train/{index}.png": bytes(1_000_000) for index in range(10)})
    assert len(bomb) < 10_000
    assert "refused, because its 10,000,000 bytes are more than the" in refusal(tmp_path, bomb, max_bytes=5_000_000)
    assert len(repacked(tmp_path, bomb, max_bytes=10_100_000)) == 10


def test_the_limit_is_for_all_archives_together(write_zip: WriteZip, tmp_path: Path) -> None:
    packed = sevenzip({"x": bytes(1_000_000)})
    path = write_zip("a.zip", {"one.7z": packed, "two.7z": packed})
    assert len(repack(path, tmp_path / "out", max_bytes=2_000_000 + 2 * len(packed))) == 2
    with pytest.raises(InputError, match=r"two\.7z: refused, because its 1,000,000 bytes are more"):
        repack(path, tmp_path / "less", max_bytes=2_000_000)
    assert [file.name for file in (tmp_path / "less").iterdir()] == ["one.zip"]


# Damage.

PLAIN = sevenzip(MEMBERS, num_blocks=2)


def tried(folder: Path, content: bytes, max_bytes: int = 10**8) -> dict[str, bytes]:
    """What arrives of it; nothing if it is refused, which names archive and member."""
    try:
        return repacked(folder, content, max_bytes)
    except InputError as error:
        assert str(error).startswith(f"{folder / 'a.zip'}: inner/train.7z: ")
        return {}


@quick
@given(st.floats(0, 1, exclude_max=True))
def test_a_cut_7z_is_refused(tmp_path: Path, share: float) -> None:
    assert tried(tmp_path, PLAIN[: int(share * len(PLAIN))]) == {}


@quick
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=3))
def test_changed_bytes_never_change_a_member(tmp_path: Path, changes: list[tuple[float, int]]) -> None:
    changed = bytearray(PLAIN)
    for place, mask in changes:
        changed[int(place * len(PLAIN))] ^= mask
    assert tried(tmp_path, bytes(changed)) in ({}, MEMBERS)


def test_a_damaged_zip_around_it_is_refused(tmp_path: Path, write_zip: WriteZip) -> None:
    content = bytearray(write_zip("a.zip", {"train.7z": PLAIN}).read_bytes())
    content[100] ^= 1
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'a.zip'}: train.7z: the archive is damaged")):
        repack(tmp_path / "a.zip", tmp_path / "out", max_bytes=10**8)


def test_a_full_disk_is_not_taken_for_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("stages.sources.sevenzip.write_member", full)
    with pytest.raises(OSError, match="no space left"):
        repacked(tmp_path, PLAIN)
    assert not list((tmp_path / "out").iterdir())


# CIFAR-10 as Kaggle packs it.


def test_cifar_10_out_of_kaggles_two_7z_packs_the_same_as_its_files(write_zip: WriteZip, tmp_path: Path) -> None:
    packed = {name: content for name, content in KAGGLE.items() if "/" not in name}
    for split in ("train", "test"):
        images = {name: content for name, content in KAGGLE.items() if name.startswith(f"{split}/")}
        packed[f"{split}.7z"] = sevenzip(images, num_blocks=2)
    path = write_zip("raw/cifar-10.zip", packed)
    made = repack(path, tmp_path / "raw", max_bytes=10_000_000)
    assert sorted(file.name for file in made) == ["test.zip", "train.zip"]
    pack(sorted((tmp_path / "raw").iterdir()), tmp_path / "from_7z")
    plain = {name: KAGGLE[name] for name in [n for file in sorted(made) for n in Archive(file).names]}
    pack(write_zip("plain.zip", plain | packed), tmp_path / "from_files")
    assert contents(tmp_path / "from_7z") == contents(tmp_path / "from_files")
