"""The layouts that are understood. Each module has

SIGN                                      a pattern: a member whose name it matches says that this is the layout
PASSED_OVER                               a pattern: members that the layout has and the task does not need
missing(names) -> str | None              what else has to be there and is not
read(archives, *, may_skip, fold, seed)         the Source; raises InputError, and the items do as they are read
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.tasks.speech.raw.layouts import fall2021, hw3p2, librispeech, timit
from stages.tasks.speech.raw.recordings import AUDIO


@dataclass(frozen=True)
class Layout:
    """name; terms: when the course had it; looks: what its files are, in words; module."""

    name: str
    terms: str
    looks: str
    module: Any


LAYOUTS = (
    Layout("HW3P2", "spring 2022 to spring 2026", "<split>/mfcc/*.npy and <split>/transcript/*.npy", hw3p2),
    Layout("HW3P2", "spring and fall 2021", "{train,dev,test}.npy and {train,dev}_labels.npy", fall2021),
    Layout("TIMIT", "", "X.PHN beside X.WAV or X.WAV.wav", timit),
    Layout("LibriSpeech", "", "X.flac or X.wav, and X's words in *.trans.txt or its phones in *.phones.txt", librispeech),
)
OTHER_AUDIO = (".mp3", ".m4a", ".ogg", ".opus", ".aac", ".wma", ".aif", ".aiff", ".sph")


def find(archives: Sequence[Archive]) -> Layout:
    """The layout of the archives. Raises InputError: none, several, or one that lacks some of its files."""
    names = [name for archive in archives for name in archive.names]
    found = [layout for layout in LAYOUTS if any(map(layout.module.SIGN.fullmatch, names))]
    source = archives[0].path.parent
    if len(found) > 1:
        two = " and ".join(f"{layout.name} ({layout.looks})" for layout in found)
        raise InputError(f"{source}: holds several layouts, {two}; give one of them as the source")
    if not found:
        raise InputError(f"{source}: {_not_any(names)}")
    lacks = found[0].module.missing(names)
    if lacks:
        raise InputError(f"{source}: looks like {found[0].name} ({found[0].looks}), but there are no {lacks}")
    return found[0]


def _not_any(names: Sequence[str]) -> str:
    """Why there is no layout."""
    sound = next((name for name in names if AUDIO.fullmatch(name)), None)
    other = next((name for name in names if PurePosixPath(name).suffix.lower() in OTHER_AUDIO), None)
    if sound is not None:
        return f"holds recordings, such as {sound}, but no transcripts; understood are {_forms(timit, librispeech)}"
    if other is not None:
        return f"holds {other}, and recordings have to be wav or flac; understood are {_forms(timit, librispeech)}"
    every = _forms(*(layout.module for layout in LAYOUTS))
    return f"holds no layout of this task, the first file is {names[0]}; understood are {every}"


def _forms(*modules: Any) -> str:
    return ", or ".join(
        f"{layout.looks} ({layout.name}{f' of {layout.terms}' if layout.terms else ''})"
        for layout in LAYOUTS
        if layout.module in modules
    )
