"""The refusal of archives of which most was not read: a layout that is nearly right can give a number that looks right."""

import re
from collections.abc import Iterable

from stages.core.errors import InputError
from stages.data.archive import Archive

# Files that carry labels or pairs. One that no reader has opened means that the layout was not understood.
TABLE = re.compile(r"(.*[_-])?(labels?|pairs?|trials?|identities)([_-].*)?\.(txt|csv|tsv)", re.IGNORECASE)
TEST = re.compile(r"((?:.*/)?test(?:[-_][^/]*)?)/.+", re.IGNORECASE)


def check_all_read(archives: Iterable[Archive], passed_over: re.Pattern[str]) -> None:
    """Raises InputError where a table of labels or pairs, a test folder, or most of an archive was not read.

    passed_over: names of members that a known layout has and the task does not need.
    """
    for archive in archives:
        unread = [name for name in archive.unread if not passed_over.fullmatch(name)]
        table = next((name for name in unread if TABLE.fullmatch(name.rpartition("/")[2])), None)
        if table is not None:
            raise InputError(
                f"{archive.path}: {table} is there and was not used, so the layout was not understood; "
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
                f"{archive.path}: {len(unread):,} of its {len(archive.names):,} files were used for nothing, the first is "
                f"{unread[0]}; see docs/DATA.md for the layouts that are understood"
            )
