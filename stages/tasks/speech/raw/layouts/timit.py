"""TIMIT: <speaker>/<utterance>.PHN, with lines of begin, end and phone, beside the recording.

The recording is X.WAV (NIST SPHERE despite its name), X.WAV.wav (RIFF) or, in most copies, both.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.speech.raw import phones, recordings, splits
from stages.tasks.speech.raw.item import Problem, Transcript
from stages.tasks.speech.raw.recordings import AUDIO
from stages.tasks.speech.raw.source import Source

SIGN = re.compile(r".*[^/]\.phn", re.IGNORECASE)
# Sentences, words, the corpus' own documents and tables, and each recording's second copy.
IGNORED = re.compile(r".*\.(txt|wrd|doc|csv|wav\.wav|flac)", re.IGNORECASE)


def missing(names: Sequence[str]) -> str | None:
    """Return a required kind of file that is missing, if any."""
    return None if any(map(AUDIO.fullmatch, names)) else ".WAV, .WAV.wav or .flac files"


def read(archives: list[Archive], *, may_skip: bool, fold: Fold | None, seed: int) -> Source:
    """Read the layout. Raises InputError for a transcript that is not UTF-8 or a duplicate."""
    members = sorted({name for archive in archives for name in archive.names if AUDIO.fullmatch(name)}, key=len)
    chosen: dict[str, str] = {}
    for member in members:  # the shortest name wins: X.WAV before X.WAV.wav
        chosen.setdefault(_key(member), member)
    keys = {member: key for key, member in chosen.items()}
    split_of = splits.of(sorted(chosen), fold, seed, speaker=lambda key: str(PurePosixPath(key).parent))
    items = recordings.read(archives, keys, split_of, _transcripts(archives), _name)
    return Source(items, lambda width: recordings.form("TIMIT"))


def _key(member: str) -> str:
    key = recordings.key_of(member)
    return recordings.key_of(key) if key.lower().endswith(".wav") else key


def _name(key: str) -> str:
    """Return speaker and utterance, as an utterance's name is unique only within a speaker's folder."""
    path = PurePosixPath(key)
    return f"{path.parent.name}_{path.name}"


def _transcripts(archives: list[Archive]) -> dict[str, Transcript]:
    found: dict[str, Transcript] = {}
    for archive in archives:
        for member, content in archive.members({name for name in archive.names if SIGN.fullmatch(name)}):
            where, key = f"{archive.path}: {member}", recordings.key_of(member)
            if key in found:
                raise InputError(f"{where}: {PurePosixPath(key).name} is listed twice")
            found[key] = transcript(where, content)
    return found


def transcript(where: str, content: bytes) -> Transcript:
    """Parse a .PHN file. Raises InputError if it is not UTF-8."""
    names = [line[-1] for line in recordings.lines(content, where) if line]
    try:
        classes, converted = phones.classes(phones.of_timit(names))
    except Problem as problem:
        return Transcript(where, None, str(problem))
    return Transcript(where, classes, None, converted)
