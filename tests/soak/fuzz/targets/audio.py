"""Recordings and what is said in them: wav and flac, TIMIT's and LibriSpeech's texts. The first byte chooses."""

import io
import re
from pathlib import Path
from random import Random

import numpy as np
import soundfile

from stages.core.errors import InputError
from stages.tasks.speech.raw import audio
from stages.tasks.speech.raw.item import Problem, Transcript
from stages.tasks.speech.raw.layouts import librispeech, timit
from tests.soak.fuzz.mutate import EDGES, change

TEXTS = {
    1: ("a/1-2-3.trans.txt", b"1-2-3 HELLO WORLD\n1-2-4 THE CAT\n"),
    2: ("a/1-2.phones.txt", b"1-2-3 SIL HH AH0 L OW1 SIL\n"),
    3: ("a/b.PHN", b"0 2190 h#\n2190 4120 hh\n4120 5000 ax\n5000 6000 q\n"),
}
NAMED = re.compile(rb"(\d+)")  # the numbers of a SPHERE file's header


def _sound(rate: int, form: str, channels: int = 1, subtype: str | None = None) -> bytes:
    content = io.BytesIO()
    wave = np.random.default_rng(0).uniform(-0.5, 0.5, (2000, channels))
    soundfile.write(content, wave, rate, format=form, subtype=subtype)
    return content.getvalue()


def seeds() -> list[bytes]:
    sounds = [_sound(16000, "WAV"), _sound(8000, "WAV", 2), _sound(16000, "WAV", 1, "FLOAT"), _sound(16000, "FLAC")]
    sounds += [_sound(44100, "FLAC", 2), _sound(16000, "WAV", 1, "ULAW"), _sound(16000, "WAVEX", 3, "PCM_24")]
    sounds += [_sound(16000, form) for form in ("NIST", "W64", "RF64")]
    unknown = bytearray(_sound(16000, "FLAC"))
    unknown[21], unknown[22:26] = unknown[21] & 0xF0, bytes(4)
    sounds.append(bytes(unknown))  # of a length that its header does not say
    return [b"\0" + sound for sound in sounds] + [bytes([kind]) + content for kind, (_, content) in TEXTS.items()]


def mutate(random: Random, content: bytes) -> bytes:
    """Numbers in a wav's `fmt ` and in the lengths of its chunks, in a SPHERE's header; a flac's stream info."""
    changed = bytearray(content)
    if content[1:5] == b"NIST":
        first, *others = NAMED.split(content[1:1025])
        place = random.randrange(0, len(others), 2)
        others[place] = random.choice([b"0", b"-1", b"9" * 30, b"", b"1e9", str(random.randrange(5000)).encode()])
        return b"\0" + first + b"".join(others) + content[1025:]
    if content[1:5] == b"RIFF":
        place, width = random.choice([(5, 4), (17, 4), (21, 2), (23, 2), (25, 4), (29, 4), (33, 2), (35, 2), (41, 4)])
        old = int.from_bytes(changed[place : place + width], "little")
        value = random.choice([*EDGES, old + random.randint(-2, 2), random.randrange(200_000)])
        changed[place : place + width] = (value % 2 ** (8 * width)).to_bytes(width, "little")
    elif content[1:5] == b"fLaC":
        changed[5:43] = change(random, bytes(changed[5:43]), [content])[:38].ljust(38, b"\0")
    else:
        pieces = [b"\n", b" ", b"\xff", "ü".encode(), b"SPN", b"\0", b"0" * 5000, b"\t", b"\xe2\x80\xa8", b"CAT", b"h#"]
        place = random.randrange(1, len(changed) + 1)
        changed[place:place] = random.choice(pieces) * random.choice((1, 1, 2, 1000))
    return bytes(changed)


def attempt(content: bytes, folder: Path) -> None:
    kind, content = content[0] % 4 if content else 0, content[1:]
    try:
        if kind == 0:
            frames, _ = audio.read_frames(content)
            assert frames.ndim == 2 and frames.shape[1] == audio.NUM_COEFFICIENTS and frames.dtype == np.float32
        for transcript in _transcripts(TEXTS[kind][0], content) if kind else ():
            if transcript.classes is None:
                raise Problem(str(transcript.problem))
            assert transcript.classes.dtype == np.uint8 and transcript.classes.max() <= 40
    except Problem as problem:
        raise InputError(str(problem)) from problem


def _transcripts(member: str, content: bytes) -> list[Transcript]:
    if member.endswith(".PHN"):
        return [timit.transcript(member, content)]
    found = librispeech.texts(member, member, content, is_words=".trans." in member)
    return [text.transcript() for text in found.values()]
