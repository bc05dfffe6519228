"""Items from recordings and transcripts, for layouts with audio."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.speech.raw import splits
from stages.tasks.speech.raw.audio import read_frames
from stages.tasks.speech.raw.item import Item, Problem, Split, Transcript
from stages.tasks.speech.raw.source import Form

AUDIO = re.compile(r".*[^/]\.(wav|flac)", re.IGNORECASE)


def key_of(member: str) -> str:
    """Return the key that an utterance's recording and transcript share: folders and name."""
    return str(PurePosixPath(member).with_suffix(""))


def lines(content: bytes, where: str) -> list[list[str]]:
    """Return the words of each line of a text, including empty lines. Raises InputError."""
    try:
        return [line.split() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not UTF-8 text ({error})") from None


def form(layout: str) -> Form:
    """Return the form of a source of recordings, which no competition has; submissions are written as in 2023."""
    return Form(layout, ("id", "label"), "2023")


def read(
    archives: list[Archive],
    keys: Mapping[str, str],
    split_of: Mapping[str, Split],
    transcripts: Mapping[str, Transcript],
    name: Callable[[str], str],
) -> Iterator[Item]:
    """Yield every utterance.

    keys: of the recordings, by member. split_of, transcripts: by key. name: returns an utterance's name, given its key.
    Raises InputError if no recording of a split has a transcript.
    """
    for split in ("train", "dev"):
        in_split = [key for key in keys.values() if split_of[key] == split]
        if in_split and not any(key in transcripts for key in in_split):
            reason = f"none of the {len(in_split):,} recordings of the {split} split has a transcript"
            raise InputError(f"{archives[0].path.parent}: {reason}; the first is {min(in_split)}")
    for archive in archives:
        for member, content in archive.members(keys):
            key = keys[member]
            yield _item(name(key), split_of[key], f"{archive.path}: {member}", content, transcripts.get(key))
    places = splits.places([*split_of, *transcripts])
    for key, transcript in transcripts.items():
        if key not in split_of:
            yield Item(places[key].split or "train", name(key), transcript.where, None, None, "has no audio")


def _item(name: str, split: Split, where: str, content: bytes, transcript: Transcript | None) -> Item:
    classes, converted = None, tuple[str, ...]()
    if split != "test":
        if transcript is None:
            return Item(split, name, where, None, None, "has no transcript")
        if transcript.problem is not None:
            return Item(split, name, transcript.where, None, None, transcript.problem)
        classes, converted = transcript.classes, transcript.converted
    try:
        frames, changes = read_frames(content)
    except Problem as problem:
        return Item(split, name, where, None, None, str(problem))
    audio = content if split == "dev" else None  # evaluation copies the worst of dev
    return Item(split, name, where, frames, classes, None, (*converted, *changes), audio)
