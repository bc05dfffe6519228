"""Recordings: the MFCCs of torchaudio, whole recordings whatever wrote their headers, and no halves of recordings."""

import io
import struct

import numpy as np
import pytest
import soundfile
import torch
import torchaudio.transforms
from hypothesis import given
from hypothesis import strategies as st

from stages.tasks.speech import sample
from stages.tasks.speech.raw import audio
from stages.tasks.speech.raw.item import Problem
from tests.tasks.speech.raw.packing import tone

WAVE = (np.random.default_rng(0).normal(size=8000) * 2000).astype("<i2")
FRAMES = 51


def riff(data: int, whole: int = 36, before: bytes = b"", after: bytes = b"", sound: bytes = WAVE.tobytes()) -> bytes:
    """A wav whose header says that the sound has `data` bytes and the file `whole`."""
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 16000, 32000, 2, 16)
    return b"RIFF" + struct.pack("<I", whole) + b"WAVE" + form + before + b"data" + struct.pack("<I", data) + sound + after


def flac() -> bytes:
    """A flac that came through a pipe: STREAMINFO has no number of samples."""
    content = bytearray(encoded("FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    return bytes(content)


def encoded(kind: str, wave: np.ndarray = WAVE) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, wave, 16_000, format=kind, subtype="PCM_16")
    return content.getvalue()


NUM = len(WAVE.tobytes())
LIST = b"LIST" + struct.pack("<I", 3) + b"abc\0"  # an odd size, padded
NIST = "NIST_1A\n   1024\nsample_n_bytes -i 2\nchannel_count -i 1\nsample_count -i {}\nsample_rate -i 16000\nend_head\n"


def sphere(count: object) -> bytes:
    """TIMIT's own header has its lines in another order than libsndfile writes."""
    return NIST.format(count).encode().ljust(1024) + WAVE.tobytes()


@pytest.mark.parametrize(
    "content",
    [
        riff(NUM, 44 + NUM),
        riff(NUM, 0),
        riff(NUM, 36 + NUM, after=LIST),
        riff(NUM, 36 + NUM, before=LIST),
        riff(0x7FFFF000, 0x7FFFF024),
        riff(0x80000000, 0x80000024),
        riff(0xFFFFFFFF, 0xFFFFFFFF),
        riff(0, 0),
        flac(),
        sphere(len(WAVE)),
        *[encoded(kind) for kind in ("WAV", "WAVEX", "RF64", "W64", "NIST", "FLAC")],
    ],
)
def test_a_whole_recording_is_read_whole(content: bytes) -> None:
    expected = audio.read_frames(encoded("WAV"))[0]
    assert expected.shape == (FRAMES, 27)
    np.testing.assert_array_equal(audio.read_frames(content)[0], expected)


@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "NIST", "FLAC", "pipe"])
def test_a_part_of_a_recording_is_refused(kind: str) -> None:
    content = flac() if kind == "pipe" else encoded(kind)
    for share in (0.5, 0.99):
        with pytest.raises(Problem, match="cut short"):
            audio.read_frames(content[: int(share * len(content))])


@given(kind=st.sampled_from(["WAV", "WAVEX", "RF64", "W64", "NIST"]), missing=st.integers(1, 2 * NUM))
def test_a_recording_that_lacks_any_byte_is_refused(kind: str, missing: int) -> None:
    content = encoded(kind)
    with pytest.raises(Problem, match=r"cut short|holds no sound|damaged"):
        audio.read_frames(content[: max(len(content) - missing, 0)])


@given(
    kind=st.sampled_from(["WAV", "WAVEX", "RF64", "W64", "NIST", "FLAC"]),
    changes=st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_a_damaged_header_is_read_or_refused(kind: str, changes: list[tuple[int, int]]) -> None:
    content = bytearray(encoded(kind, WAVE[:1000]))
    for place, value in changes:
        content[place] = value
    try:
        frames, _ = audio.read_frames(bytes(content))
    except Problem as problem:
        assert str(problem) and "BytesIO" not in str(problem)
    else:
        assert frames.ndim == 2 and frames.shape[1] == 27


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x89PNG\r\n", "is damaged, cut short or not audio (Format not recognised)"),
        (encoded("AIFF"), "is neither wav, flac nor NIST SPHERE, but AIFF; convert it"),
        (encoded("AU"), "is neither wav, flac nor NIST SPHERE, but AU; convert it"),
        (sphere("x"), "has no number of samples (sample_count) in its header"),
        (sphere(len(WAVE) + 1), "is cut short"),
        (riff(NUM + 1), "is cut short"),
        (tone(0.01), "is shorter than 16 ms"),
    ],
)
def test_what_is_no_recording_is_told(content: bytes, words: str) -> None:
    with pytest.raises(Problem) as caught:
        audio.read_frames(content)
    assert str(caught.value) == words


@pytest.mark.parametrize("num", [257, 31_999])
def test_mfccs_are_those_of_torchaudio_and_of_numpy(num: int) -> None:
    random = np.random.default_rng(num)
    wave = random.normal(0, 0.1, num) * np.linspace(0, 1, num) ** 4  # so that its beginning is 80 dB below its end
    content = io.BytesIO()
    soundfile.write(content, wave, 16_000, format="wav", subtype="FLOAT")
    found = audio.read_frames(content.getvalue())[0]
    mel = {"n_fft": 512, "win_length": 400, "hop_length": 160, "n_mels": 40}
    expected = torchaudio.transforms.MFCC(16_000, 27, melkwargs=mel)(torch.from_numpy(wave).float()).T.numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)
    np.testing.assert_allclose(found, sample.mfcc(wave), atol=1e-3)


def test_mfccs_of_silence_are_finite() -> None:
    assert np.isfinite(audio._mfcc(np.zeros(1000, np.float32))).all()
