"""`python -m stages.verify`: check every file in DVC's cache against its checksum, and repair or remove damaged files.

DVC 3.67 trusts its cache: it checks out a corrupt file and calls it up to date. A cache file's name is its MD5. A damaged
file is replaced by the workspace's copy if that is good. Damaged outputs are removed; `dvc repro` makes them again, `dvc
pull` fetches them. On a full disk DVC exits with 0, although dvc.lock then names outputs that are not cached; these are
listed.
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

NAME = re.compile(r"[0-9a-f]{30}(\.dir)?")  # below a folder of two digits; other names are temporary files


def main() -> None:
    repo = Repo()
    cache = Path(repo.cache.local.path)
    files = [file for file in sorted(cache.glob("??/*")) if NAME.fullmatch(file.name)]
    damaged = {
        file.parent.name + file.name: file for file in track(files, "verifying", transient=True) if not _is_whole(file)
    }
    repaired = set()
    for out in repo.index.outs if damaged else ():
        names = _cache_names(cache, out)
        if damaged.keys() & names.values():
            path = Path(out.fs_path)
            bad = {
                file for file, name in names.items() if name in damaged and file.is_file() and file_hash(file, "md5") != name
            }
            for file, name in names.items():
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
        remedy = "`dvc repro`, `dvc pull` or `dvc commit` brings them back"
        raise InputError(f"{cache}: {len(lost)} of {len(files)} files were damaged; {remedy}")
    absent = [out for out in repo.index.outs if out.use_cache and not _is_cached(cache, out)]
    for out in absent:
        print(f"not in the cache: {Path(out.fs_path).relative_to(repo.root_dir)}")
    if absent:
        remedy = "`dvc commit -f` adds those in the workspace, `dvc pull` or `dvc repro` brings the others"
        raise InputError(f"{cache}: lacks {len(absent)} of the outputs that dvc.lock names; {remedy}")
    print(f"{len(files)} files, all intact" + (" again" if damaged else ""))


def _is_whole(file: Path) -> bool:
    return file_hash(file, "md5") == (file.parent.name + file.name).removesuffix(".dir")


def _is_cached(cache: Path, out: Output) -> bool:
    """Whether the cache has every file of an output that dvc.lock names."""
    return all((cache / name[:2] / name[2:]).is_file() for name in _cache_names(cache, out).values())


def _cache_names(cache: Path, out: Output) -> dict[Path, str]:
    """Map each workspace file of an output to its name in the cache. A folder's path maps to its .dir list."""
    path, name = Path(out.fs_path), out.hash_info.value if out.hash_info else None
    if name is None:
        return {}
    found, listed = {path: name}, cache / name[:2] / name[2:]
    if name.endswith(".dir") and listed.is_file() and _is_whole(listed):
        found |= {path / entry["relpath"]: entry["md5"] for entry in json.loads(listed.read_text())}
    return found


if __name__ == "__main__":
    run_command(main)
