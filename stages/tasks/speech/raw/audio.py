"""MFCCs of a recording: wav, flac or NIST SPHERE, of any rate and number of channels."""

import functools
import io
import math
from typing import Any

import numpy as np
import soundfile

from stages.tasks.speech.raw.containers import UNKNOWN_LENGTH, check_whole, with_length
from stages.tasks.speech.raw.item import Problem

RATE, NUM_COEFFICIENTS, NUM_MELS = 16_000, 27, 40
WINDOW, HOP, FFT = RATE * 25 // 1000, RATE * 10 // 1000, 512
MIN_RATE = 4000  # half a telephone's
MAX_RATIO = 1000  # 44,100 Hz is 441 to 160 of 16 kHz; for a prime rate the filter would fill gigabytes
BLOCK = 1 << 16  # frames read at a time from a recording of unknown length


def read_frames(content: bytes) -> tuple[np.ndarray, list[str]]:
    """Return the MFCCs (T, 27) float32 of a recording, and the conversions. Raises Problem."""
    wave, changes = read_wave(content)
    return _mfcc(wave), changes


def read_wave(content: bytes) -> tuple[np.ndarray, list[str]]:
    """Return one channel (samples,) float32 at 16 kHz, and the conversions. Raises Problem."""
    content = with_length(content)
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            check_whole(content, file.format)
            rate, is_int = file.samplerate, file.subtype == "PCM_16"
            wave = _read(file, "int16" if is_int else "float32")
    except soundfile.LibsndfileError as error:
        raise Problem(f"is damaged, cut short or not audio ({error.error_string.rstrip('.')})") from None
    except (soundfile.SoundFileError, MemoryError, ValueError) as error:  # a header can claim any size
        raise Problem(f"is damaged, cut short or not audio ({error})") from None
    changes = ["mean of several channels"] * (wave.shape[1] > 1)
    if is_int:  # libsndfile's own conversion takes nine times as long
        wave = wave.astype(np.float32) / 32768
    mono = wave[:, 0] if wave.shape[1] == 1 else wave.mean(1)
    if not len(mono):
        raise Problem("holds no sound")
    if rate != RATE:
        if rate < MIN_RATE or rate // math.gcd(rate, RATE) > MAX_RATIO:
            raise Problem(f"has {rate} samples a second, which is not supported")
        import torch
        import torchaudio.functional

        mono = torchaudio.functional.resample(torch.from_numpy(mono), rate, RATE).numpy()
        changes.append(f"resampled from {rate} Hz")
    return mono, changes


def _read(file: soundfile.SoundFile, dtype: str) -> np.ndarray:
    """Read all samples (samples, channels)."""
    if file.frames != UNKNOWN_LENGTH:
        whole: np.ndarray = file.read(dtype=dtype, always_2d=True)
        return whole
    file.seekable = lambda: False  # or soundfile seeks, which fails in such a FLAC
    blocks: list[np.ndarray] = []
    while not blocks or len(blocks[-1]) == BLOCK:
        blocks.append(file.read(BLOCK, dtype=dtype, always_2d=True))
    return np.concatenate(blocks)


def _mfcc(wave: np.ndarray) -> np.ndarray:
    """(samples,) -> (T, 27); frame t is centred on 10 t ms."""
    import torch

    if len(wave) <= FFT // 2:
        raise Problem(f"is shorter than {1000 * FFT // 2 // RATE} ms")
    spectrum, mels, decibels, cosines = _transforms()
    amplitudes = spectrum(torch.from_numpy(wave))
    # torchaudio.transforms.MFCC squares a square root of this, which takes 40 % of its time.
    power = amplitudes.real.square().addcmul_(amplitudes.imag, amplitudes.imag)
    frames: np.ndarray = (decibels(mels(power)).T @ cosines).numpy()
    return frames


@functools.cache
def _transforms() -> tuple[Any, ...]:
    """Return the steps of torchaudio's MFCCs, with decibels limited to 80 below the loudest. torchaudio imports slowly."""
    import torchaudio.functional
    import torchaudio.transforms

    return (
        torchaudio.transforms.Spectrogram(FFT, WINDOW, HOP, power=None),
        torchaudio.transforms.MelScale(NUM_MELS, RATE, n_stft=FFT // 2 + 1),
        torchaudio.transforms.AmplitudeToDB("power", top_db=80),
        torchaudio.functional.create_dct(NUM_COEFFICIENTS, NUM_MELS, norm="ortho"),
    )
