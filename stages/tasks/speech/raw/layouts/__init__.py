"""The known layouts. Each module has

SIGN                                      a pattern: members by which the layout is recognised
IGNORED                                   a pattern: members that the task does not need
missing(names) -> str | None              a required kind of member that is missing
read(archives, *, may_skip, fold, seed)   returns the Source; raises InputError, also while its items are read
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
    """terms: when the course used it. looks: its files, in words."""

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
    """Return the layout of the archives. Raises InputError if there is none, several, or an incomplete one."""
    names = [name for archive in archives for name in archive.names]
    found = [layout for layout in LAYOUTS if any(map(layout.module.SIGN.fullmatch, names))]
    source = archives[0].path.parent
    if len(found) > 1:
        two = " and ".join(f"{layout.name} ({layout.looks})" for layout in found)
        raise InputError(f"{source}: holds several layouts, {two}; give one of them as the source")
    if not found:
        raise InputError(f"{source}: {_explain(names)}")
    missing = found[0].module.missing(names)
    if missing:
        raise InputError(f"{source}: looks like {found[0].name} ({found[0].looks}), but there are no {missing}")
    return found[0]


def _explain(names: Sequence[str]) -> str:
    """Explain why there is no layout."""
    sound = next((name for name in names if AUDIO.fullmatch(name)), None)
    other = next((name for name in names if PurePosixPath(name).suffix.lower() in OTHER_AUDIO), None)
    if sound is not None:
        return f"holds recordings, such as {sound}, but no transcripts; known layouts: {_describe(timit, librispeech)}"
    if other is not None:
        return f"holds {other}, but recordings must be wav or flac; known layouts: {_describe(timit, librispeech)}"
    every = _describe(*(layout.module for layout in LAYOUTS))
    return f"holds no layout of this task, the first file is {names[0]}; known layouts: {every}"


def _describe(*modules: Any) -> str:
    return ", or ".join(
        f"{layout.looks} ({layout.name}{f' of {layout.terms}' if layout.terms else ''})"
        for layout in LAYOUTS
        if layout.module in modules
    )
