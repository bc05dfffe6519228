"""`python -m stages.verify`: compare every file in DVC's cache with its checksum, and mend or remove what is damaged.

DVC 3.67 trusts its own cache: it checks out a file whose bits have flipped, and calls it up to date. The name of each file
is its MD5. Where the workspace still has a good copy, that takes its place. Outputs that are damaged themselves are removed;
`dvc repro` makes them again, `dvc pull` fetches them. On a full disk DVC exits with 0 all the same, and dvc.lock names what
is in no cache: such outputs are listed.
"""

import json
import re
import shutil
from pathlib import Path

from dvc.output import Output
from dvc.repo import Repo
from rich.progress import track

from stages.core import paths
from stages.core.errors import InputError, run_command
from stages.core.hashes import file_hash

NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")  # below a folder of two digits; others are on their way in


def main() -> None:
    repo = Repo()
    cache = Path(repo.cache.local.path)
    files = [file for file in sorted(cache.glob("??/*")) if NAME.fullmatch(file.name)]
    damaged = {
        file.parent.name + file.name: file for file in track(files, "verifying", transient=True) if not _is_whole(file)
    }
    repaired = set()
    for out in repo.index.outs if damaged else ():
        parts = _parts(cache, out)
        if damaged.keys() & parts.values():
            path = Path(out.fs_path)
            bad = {
                file for file, name in parts.items() if name in damaged and file.is_file() and file_hash(file, "md5") != name
            }
            for file, name in parts.items():
                if name in damaged and file.is_file() and file not in bad:
                    with paths.replacing(damaged[name]) as partial:
                        shutil.copyfile(file, partial)
                    repaired.add(name)
            if bad:
                shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                print(f"removed: {path.relative_to(repo.root_dir)}")
    for name, file in damaged.items():
        print(f"{'repaired' if name in repaired else 'damaged'}: {file}")
        if name not in repaired:
            file.unlink()
    if lost := damaged.keys() - repaired:
        back = "`dvc repro`, `dvc pull` or `dvc commit` brings them back"
        raise InputError(f"{cache}: {len(lost)} of {len(files)} files were damaged; {back}")
    absent = [out for out in repo.index.outs if out.use_cache and not _is_cached(cache, out)]
    for out in absent:
        print(f"not in the cache: {Path(out.fs_path).relative_to(repo.root_dir)}")
    if absent:
        back = "`dvc commit -f` takes them from the workspace, `dvc pull` or `dvc repro` brings the others"
        raise InputError(f"{cache}: lacks {len(absent)} of the outputs that dvc.lock names; {back}")
    print(f"{len(files)} files, all as they were" if not damaged else f"{len(files)} files, all as they were again")


def _is_whole(file: Path) -> bool:
    return file_hash(file, "md5") == (file.parent.name + file.name).removesuffix(".dir")


def _is_cached(cache: Path, out: Output) -> bool:
    """Whether the cache has all of an output, if dvc.lock names it at all."""
    return all((cache / name[:2] / name[2:]).is_file() for name in _parts(cache, out).values())


def _parts(cache: Path, out: Output) -> dict[Path, str]:
    """The cache's name of each file of an output, in the workspace; a folder's list has the folder's own path."""
    path, name = Path(out.fs_path), out.hash_info.value if out.hash_info else None
    if name is None:
        return {}
    found, listed = {path: name}, cache / name[:2] / name[2:]
    if name.endswith(".dir") and listed.is_file() and _is_whole(listed):
        found |= {path / entry["relpath"]: entry["md5"] for entry in json.loads(listed.read_text())}
    return found


if __name__ == "__main__":
    run_command(main)
