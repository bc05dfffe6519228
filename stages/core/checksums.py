"""SHA256SUMS in an output folder, as `sha256sum -c` reads it: what a stage reads is what the stage before it wrote.

DVC trusts its cache: a file whose bits have flipped there is checked out as if nothing had happened. So stages write the
list, and those that come after compare. Archives and checkpoints have checksums of their own.
"""

import hashlib
import re
from pathlib import Path

from stages.core.errors import InputError
from stages.core.hashes import file_hash

LIST = "SHA256SUMS"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write(folder: Path) -> None:
    """List the files below `folder`, by name."""
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    (folder / LIST).write_text("".join(f"{file_hash(folder / name)}  {name}\n" for name in files if name != LIST))


def check(folder: Path, *, below: bool = True) -> str:
    """The SHA-256 of the list, and so of all that it lists. Raises InputError for a file that is not as it was written.

    below: False compares only what lies in `folder` itself, and leaves the large files in the folders of the splits.
    """
    again = f"remove {folder}, and `python -m stages.verify` and `dvc repro` bring it back"
    path = folder / LIST
    if not path.is_file():
        raise InputError(f"{path}: is not there, so the files beside it cannot be checked; {again}")
    content = path.read_bytes()
    for line in content.decode(errors="replace").splitlines():
        if (found := LINE.fullmatch(line)) is None:
            raise InputError(f"{path}: is damaged; {again}")
        digest, name = found.groups()
        if (below or "/" not in name) and (not (folder / name).is_file() or file_hash(folder / name) != digest):
            raise InputError(f"{folder / name}: is damaged or gone: its checksum is not the one in {LIST}; {again}")
    return hashlib.sha256(content).hexdigest()
