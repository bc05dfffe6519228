"""`python -m stages.verify`: compare every file of DVC's cache with its checksum, and remove what is damaged.

DVC 3.67 trusts its own cache: it checks out a file whose bits have flipped, and calls it up to date. The name of
each file is its MD5. Outputs that came from a damaged one are removed, too; `dvc repro` makes them anew.
"""

import hashlib
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from dvc.repo import Repo
from rich.progress import track

from stages.engine.errors import InputError


def main() -> None:
    repo = Repo()
    cache = Path(repo.cache.local.path)
    files = sorted(file for file in cache.glob("??/*") if file.is_file())
    damaged = {_name(file) for file in track(files, "verifying", transient=True) if not _is_whole(file)}
    outputs = [
        Path(out.fs_path) for out in repo.index.outs if out.hash_info and damaged & set(_parts(cache, out.hash_info.value))
    ]
    for name in sorted(damaged):
        print(f"damaged: {cache / name[:2] / name[2:]}")
        (cache / name[:2] / name[2:]).unlink()
    for path in outputs:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
        print(f"removed: {path.relative_to(repo.root_dir)}")
    if damaged:
        raise InputError(f"{cache}: {len(damaged)} of {len(files)} files were damaged; `dvc repro` makes them anew")
    print(f"{len(files)} files, all as they were")


def _name(file: Path) -> str:
    return file.parent.name + file.name


def _is_whole(file: Path) -> bool:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest() == _name(file).removesuffix(".dir")


def _parts(cache: Path, name: str) -> Iterator[str]:
    """The cache's names of an output: of a file, or of a folder's list and of all that is on it."""
    yield name
    listed = cache / name[:2] / name[2:]
    if name.endswith(".dir") and listed.is_file() and _is_whole(listed):
        yield from (entry["md5"] for entry in json.loads(listed.read_text()))


if __name__ == "__main__":
    try:
        main()
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
