"""The user's own archives and folders."""

import os
import re
import shutil
from pathlib import Path

from stages.core import paths
from stages.core.errors import InputError
from stages.data import archive

SPLIT = re.compile(
    r"(?:(?P<train>train)|(?P<dev>dev|val|valid|validation)|(?P<test>test)|(?P<faces>known|unknown\w*))(?:[-_].*)?",
    re.IGNORECASE,
)


def fetch(sources: list[str], out: Path, where: str, max_bytes: int | None = None) -> None:
    """Copy each archive, and pack each folder as a zip, into `out`.

    Relative paths start at the original repository, so that they also work in `dvc exp run --temp` and the queue. If the
    sources are named after different splits, their folders keep their names in the zips, so that the splits are read.
    where: the key in params.yaml, for messages. max_bytes: the most that an archive may unpack to. Raises InputError for a
    path that does not exist, lies in the stage's outputs or is no archive, for two of the same name, and for one of several
    archives that is named after a split and holds no such folder.
    """
    taken: dict[str, Path] = {}
    are_splits = len({_split(_find(source).name) or "train" for source in sources}) > 1
    for source in sources:
        path = _find(source)
        if (paths.root() / paths.raw("")).resolve() in (path.parent.resolve(), *path.parent.resolve().parents):
            lies = f"{source!r} lies in {paths.raw('')}, which DVC empties before this stage"
            raise InputError(f"{where}: {lies}; keep your archives elsewhere")
        if not source or not path.exists():
            raise InputError(f"{where}: {source!r} is neither 'sample' nor a file or folder (looked for {path.absolute()})")
        name = f"{path.resolve().name}.zip" if path.is_dir() else path.name
        if name in taken:
            raise InputError(f"{where}: {taken[name]} and {path} have the same name; rename one")
        taken[name] = path
        split = _split(path.name) if are_splits else None
        if path.is_dir():
            folders = (folder for _, inner, _ in os.walk(path) for folder in inner)
            archive.pack_folder(path, out / name, top=path.name if split and split not in map(_split, folders) else "")
        else:
            members = archive.Archive(path, max_bytes).names
            # A file counts if it is in no folder, as the course's train.npy.
            folders = (folder for member in members for folder in member.split("/")[:-1] or [member])
            if split and split not in map(_split, folders):
                lacks = f"{path} is named after a split but holds no folder of that name"
                raise InputError(f"{where}: {lacks}; unpack it and give the folder, or zip it with its folder")
            with paths.replacing(out / name) as partial:
                shutil.copyfile(path, partial)


def _split(name: str) -> str | None:
    """Return the split that a file or folder is named after, if any."""
    match = SPLIT.fullmatch(name.partition(".")[0])
    return match.lastgroup if match else None


def _find(source: str) -> Path:
    try:
        return paths.root() / Path(source).expanduser()
    except RuntimeError:  # ~user, and no such user
        return Path(source)
