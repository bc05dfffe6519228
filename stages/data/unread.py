"""The refusal of archives that were mostly not read: a nearly right layout can give a plausible but wrong score."""

import re
from collections.abc import Iterable

from stages.core.errors import InputError
from stages.data.archive import Archive

# Files with labels or pairs. If one was not read, the layout was not understood.
TABLE = re.compile(r"(.*[_-])?(labels?|pairs?|trials?|identities)([_-].*)?\.(txt|csv|tsv)", re.IGNORECASE)
TEST = re.compile(r"((?:.*/)?test(?:[-_][^/]*)?)/.+", re.IGNORECASE)


def check_all_read(archives: Iterable[Archive], ignored: re.Pattern[str]) -> None:
    """Raises InputError if a table of labels or pairs, a test folder, or most of an archive was not read.

    ignored: names of members that a known layout has and the task does not need.
    """
    for archive in archives:
        unread = [name for name in archive.unread if not ignored.fullmatch(name)]
        table = next((name for name in unread if TABLE.fullmatch(name.rpartition("/")[2])), None)
        if table is not None:
            raise InputError(
                f"{archive.path}: {table} was not used, so the layout was not understood; "
                "see docs/DATA.md for the layouts, or remove the file if it is not needed"
            )
        read = {match[1] for name in archive.names if name not in archive.unread and (match := TEST.fullmatch(name))}
        empty = next((match[1] for name in unread if (match := TEST.fullmatch(name)) and match[1] not in read), None)
        if empty is not None:
            raise InputError(
                f"{archive.path}: {empty}/ holds no item of a test split; remove the folder, or put the test's files there"
            )
        if len(unread) > len(archive.names) / 2:
            raise InputError(
                f"{archive.path}: {len(unread):,} of its {len(archive.names):,} files were not used, the first is "
                f"{unread[0]}; see docs/DATA.md for the known layouts"
            )
