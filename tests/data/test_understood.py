"""What `normalize` says of a source, and what it refuses because it would train on the wrong thing."""

import re
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from stages.core.errors import InputError
from stages.data.archive import Archive
from stages.data.statistics import Understood
from stages.data.understood import check_labels, lines
from stages.data.unread import check_all_read


def test_the_lines_say_layout_classes_items_and_submissions() -> None:
    found = Understood("a layout", "2: a, b", {"train": 1200, "dev": 3, "test": 0}, {"submission": ["id", "label"]})
    assert lines(found) == [
        "layout: a layout",
        "classes: 2: a, b",
        "items: 1,200 train, 3 dev",
        "submission: submission.csv (id,label)",
    ]


def test_one_class_and_a_split_of_one_label_are_refused() -> None:
    with pytest.raises(InputError, match="there is only one class, 'images'"):
        check_labels(Path("raw"), ["images"], {})
    with pytest.raises(InputError, match="all 5 items of the dev split are 'b'"):
        check_labels(Path("raw"), ["a", "b"], {"train": Counter({0: 3, 1: 3}), "dev": Counter({1: 5})})
    check_labels(Path("raw"), ["a", "b"], {"dev": Counter({1: 1})})  # one item has one label


@pytest.mark.parametrize(
    ("names", "read", "said"),
    [
        (["a", "b", "c"], ["a"], "2 of its 3 files were not used, the first is b"),
        (["a", "b", "c", "x/val_pairs.txt"], ["a", "b", "c"], "x/val_pairs.txt was not used"),
        (["a", "b", "readme.txt", "licence"], ["a", "b"], None),
        (["a", "b", "x/test/readme.txt"], ["a", "b"], "x/test/ holds no item of a test split"),
        (["a", "b", "x/test/readme.txt", "x/test/1.png"], ["a", "b", "x/test/1.png"], None),
        (["a", "b.wrd", "c.wrd"], ["a"], None),
    ],
)
def test_an_unread_archive_is_refused(names: list[str], read: list[str], said: str | None, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        for name in names:
            file.writestr(name, b"1")
    archive = Archive(tmp_path / "a.zip")
    for name in read:
        archive.read(name)
    if said is None:
        check_all_read([archive], re.compile(r".*\.wrd"))
    else:
        with pytest.raises(InputError, match=re.escape(said)):
            check_all_read([archive], re.compile(r".*\.wrd"))
