"""Recordings and their transcripts as items, whatever a layout calls the one and the other."""

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


def key(member: str) -> str:
    """What an utterance's recording and its transcript have in common: folders and name."""
    return str(PurePosixPath(member).with_suffix(""))


def lines(content: bytes, where: str) -> list[list[str]]:
    """The words of each line of a text, the empty lines as well. Raises InputError."""
    try:
        return [line.split() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: is not a text ({error})") from None


def form(layout: str) -> Form:
    """There is no competition of recordings; a submission is written as that of 2023."""
    return Form(layout, ("id", "label"), "2023")


def read(
    archives: list[Archive],
    keys: Mapping[str, str],
    split_of: Mapping[str, Split],
    transcripts: Mapping[str, Transcript],
    name: Callable[[str], str],
) -> Iterator[Item]:
    """Every utterance. keys: of the recordings, by member. The others go by key. name: the utterance's, of its key.

    Raises InputError for a split of which no recording has a transcript.
    """
    for split in ("train", "dev"):
        all_of_it = [its for its in keys.values() if split_of[its] == split]
        if all_of_it and not any(its in transcripts for its in all_of_it):
            nobody = f"none of the {len(all_of_it):,} recordings of the {split} split has a transcript"
            raise InputError(f"{archives[0].path.parent}: {nobody}; the first is {min(all_of_it)}")
    for archive in archives:
        for member, content in archive.members(keys):
            its = keys[member]
            yield _item(name(its), split_of[its], f"{archive.path}: {member}", content, transcripts.get(its))
    for its, transcript in transcripts.items():
        if its not in split_of:
            yield Item(splits.folder(its) or "train", name(its), transcript.where, None, None, "has no audio")


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
    heard = content if split == "dev" else None  # evaluation lets the worst of dev be heard
    return Item(split, name, where, frames, classes, None, (*converted, *changes), heard)
