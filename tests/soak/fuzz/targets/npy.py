"""Headers of .npy files: a competition's frames and transcripts, also pickled; packed arrays from another machine."""

import io
import struct
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.features import SPEECH
from stages.core.errors import InputError
from stages.data import pickles
from stages.data.packed import RaggedArray, read_texts
from stages.tasks.speech import prediction
from stages.tasks.speech.raw.item import Problem, encode
from stages.tasks.speech.raw.npy import read_frames, read_symbols

TYPES = ["|O", "<f8", "<f4", "|u1", "<U4", "|S4", "|V0", "<M8[s]", "<c8"]
NUMBERS = ["-1", "0", "True", "None", "9" * 20, "9" * 5000, "2**40", "1_000", "0x10", "1e9"]
PIECES = [*map(repr, TYPES), *NUMBERS, *"(),'{", "(" * 300, "[('a','<f4')]", "__import__('os').system('true')"]


def _bytes(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()


def _objects() -> np.ndarray:
    rows = np.empty(2, object)
    rows[0], rows[1] = np.ones((3, 40), np.float32), np.arange(4)
    return rows


def seeds() -> list[bytes]:
    arrays: list[np.ndarray] = [
        np.ones((5, 13), np.float32),
        np.ones((4, 13)),
        np.asfortranarray(np.ones((3, 13), np.int16)),
    ]
    arrays += [np.array(["[SOS]", "HH", "AH0", "[EOS]"]), np.array([b"HH", b"AH0"])]
    arrays += [np.arange(5, dtype=np.uint8), np.array([0, 2, 5]), _objects()]
    return [_bytes(array) for array in arrays]


def hostile() -> list[bytes]:
    empty = io.BytesIO()
    np.savez(empty, a=np.ones(3))
    objects = io.BytesIO()
    np.save(objects, np.array([None, "a"], object), allow_pickle=True)
    return [empty.getvalue(), objects.getvalue()]


def mutate(random: Random, content: bytes) -> bytes:
    """The header's text, with a length that fits."""
    if len(content) < 10:
        return content
    (length,) = struct.unpack_from("<H", content, 8)
    text, rest = content[10 : 10 + length].decode("latin1"), content[10 + length :]
    for _ in range(random.randint(1, 3)):
        place = random.randrange(len(text) + 1)
        end = place + random.choice((0, 1, 4))
        text = text[:place] + random.choice(PIECES) + text[end:]
    header = text.encode("latin1")[:65535]
    return content[:8] + struct.pack("<H", len(header)) + header + rest


def attempt(content: bytes, folder: Path) -> None:
    """Accepted if any of the readers does; the others have to refuse it."""
    refusals: list[Exception] = []
    for reader in READERS:
        try:
            reader(content, folder)
        except (Problem, InputError) as problem:
            refusals.append(problem)
    if len(refusals) == len(READERS):
        raise InputError(str(refusals[0])) from refusals[0]


def _frames(content: bytes, folder: Path) -> None:
    frames = read_frames(content)
    assert frames.ndim == 2 and frames.size and frames.nbytes <= 8 * len(content)


def _transcript(content: bytes, folder: Path) -> None:
    encode([symbol for symbol in read_symbols(content) if symbol not in ("[SOS]", "[EOS]")])


def _features(content: bytes, folder: Path) -> None:
    frames = prediction.read(content, replace(SPEECH, num_features=13))
    assert frames.shape[1] == 13 and np.isfinite(frames).all()


def _values(content: bytes, folder: Path) -> None:
    (folder / "x.npy").write_bytes(content)
    np.save(folder / "x_offsets.npy", np.array([0, 2, 5]))
    assert len(RaggedArray(folder / "x")[1]) == 3


def _offsets(content: bytes, folder: Path) -> None:
    (folder / "y_offsets.npy").write_bytes(content)
    np.save(folder / "y.npy", np.arange(5, dtype=np.uint8))
    assert "".join(read_texts(folder / "y")) == "\0\1\2\3\4"


def _pickled(content: bytes, folder: Path) -> None:
    for value in pickles.load_npy(content, "a"):
        assert not isinstance(value, pickles.Array) or value.numbers is None or value.numbers.nbytes <= len(content)


READERS = _frames, _transcript, _features, _values, _offsets, _pickled
