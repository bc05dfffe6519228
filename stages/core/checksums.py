"""SHA256SUMS in an output folder, in the format of `sha256sum -c`: proof that a stage reads what the last stage wrote.

DVC trusts its cache and checks out a corrupt file without complaint. So each stage writes the list and the next one checks
it. Archives and checkpoints have their own checksums.
"""

import hashlib
import re
from pathlib import Path

from stages.core.errors import InputError
from stages.core.hashes import file_hash

LIST = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write(folder: Path) -> None:
    """Write the checksums of all files below `folder`, sorted by name."""
    (folder / LIST).write_text(listing(folder))


def listing(folder: Path) -> str:
    """Return a line with the checksum and name of each file below `folder`, sorted by name, without the list itself."""
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    return "".join(f"{file_hash(folder / name)}  {name}\n" for name in files if name != LIST)


def check(folder: Path, *, below: bool = True) -> str:
    """Compare the files with the list and return the list's SHA-256. Raises InputError for a damaged or absent file.

    below: False checks only the files directly in `folder`, not the large ones in its split folders.
    """
    again = f"remove {folder}, and `python -m stages.verify` and `dvc repro` bring it back"
    path = folder / LIST
    if not path.is_file():
        raise InputError(f"{path}: is missing, so the files beside it cannot be checked; {again}")
    content = path.read_bytes()
    for line in content.decode(errors="replace").splitlines():
        if (found := LINE.fullmatch(line)) is None:
            raise InputError(f"{path}: is damaged; {again}")
        digest, name = found.groups()
        if (below or "/" not in name) and (not (folder / name).is_file() or file_hash(folder / name) != digest):
            raise InputError(f"{folder / name}: is damaged or gone: its checksum is not the one in {LIST}; {again}")
    return hashlib.sha256(content).hexdigest()
