"""The user's own archives and folders."""

import shutil
from pathlib import Path

from stages.core import paths
from stages.core.errors import InputError
from stages.data import archive


def fetch(sources: list[str], out: Path, where: str, max_bytes: int | None = None) -> None:
    """Copy each archive, and pack each folder as a zip, into `out`.

    Relative paths start at the original repository, so that they also work in `dvc exp run --temp` and the queue.
    where: the key in params.yaml, for messages. max_bytes: the most that an archive may unpack to. Raises InputError for a
    path that does not exist, lies in the stage's outputs or is no archive, and for two of the same name.
    """
    taken: dict[str, Path] = {}
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
        if path.is_dir():
            archive.pack_folder(path, out / name)
        else:
            archive.Archive(path, max_bytes)
            with paths.replacing(out / name) as partial:
                shutil.copyfile(path, partial)


def _find(source: str) -> Path:
    try:
        return paths.root() / Path(source).expanduser()
    except RuntimeError:  # ~user, and no such user
        return Path(source)
