"""Two submissions, of class indices and of identities, each only where it was predicted and in the sample's order."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.features import FACES, write_stats
from stages.core.errors import InputError
from stages.tasks.faces import UNKNOWN, submission
from stages.tasks.faces.statistics import Submission

CLASSES, KNOWN = ["n000040", "n000002", "n000100"], ["n000007", "n000009"]
CLASSIFIED = {"00000.jpg": "n000040", "00001.jpg": "n000002", "00002.jpg": "n000040", "00010.jpg": "n000100"}
VERIFIED = {"a.jpg": "n000009", "b.jpg": "n000007", "c.jpg": UNKNOWN}
KINDS = ["classification", "verification"]
SUBMISSIONS = {
    "classification": Submission(["id", "label"], ids="name", labels="index"),
    "verification": Submission(["id", "label"], ids="row", labels="identity"),
}


def write(
    folder: Path,
    classified: dict[str, str] | None = CLASSIFIED,
    verified: dict[str, str] | None = VERIFIED,
    samples: dict[str, bytes] | None = None,
) -> list[Path]:
    predictions, features = folder / "predictions", folder / "features"
    for path in (predictions, features):
        path.mkdir(exist_ok=True)
    kinds = {"classification": classified, "verification": verified}
    submissions = {kind: SUBMISSIONS[kind] for kind, predictions_of in kinds.items() if predictions_of is not None}
    write_stats(features, replace(FACES, classes=CLASSES, known=KNOWN, submissions=submissions))
    for kind, content in (samples or {}).items():
        (features / f"{kind}_sample_submission.csv").write_bytes(content)
    if classified is not None:
        lines = [f"{name},{identity},0.5000\n" for name, identity in classified.items()]
        (predictions / "test.csv").write_text("".join(["name,predicted,probability\n", *lines]))
    if verified is not None:
        lines = [f"{name},n000007,0.5000,{identity}\n" for name, identity in verified.items()]
        (predictions / "verification_test.csv").write_text("".join(["name,best,score,predicted\n", *lines]))
    return submission.write(predictions, features, folder / "out")


def check(folder: Path, file: Path) -> int:
    return submission.check(file, folder / "features", folder / "predictions")


def test_images_get_class_indices_and_faces_identities_in_the_order_of_the_predictions(tmp_path: Path) -> None:
    classification, verification = write(tmp_path)
    assert classification == tmp_path / "out" / "classification.csv"
    assert classification.read_bytes() == b"id,label\n00000.jpg,0\n00001.jpg,1\n00002.jpg,0\n00010.jpg,2\n"
    assert verification == tmp_path / "out" / "verification.csv"
    assert verification.read_bytes() == b"id,label\n0,n000009\n1,n000007\n2,n000000\n"
    assert (check(tmp_path, classification), check(tmp_path, verification)) == (4, 3)


def test_a_sample_gives_order_and_header(tmp_path: Path) -> None:
    classification, verification = write(
        tmp_path,
        samples={
            "classification": b"\xef\xbb\xbfId,Category\r\n00010.jpg,0\r\n00000.jpg,0\r\n00002.jpg,0\r\n00001.jpg,0\r\n",
            "verification": b"index,label\n2,n000000\n0,n000000\n1,n000000\n",
        },
    )
    assert classification.read_bytes() == b"Id,Category\n00010.jpg,2\n00000.jpg,0\n00002.jpg,0\n00001.jpg,1\n"
    assert verification.read_bytes() == b"index,label\n2,n000000\n0,n000009\n1,n000007\n"
    assert (check(tmp_path, classification), check(tmp_path, verification)) == (4, 3)


def test_only_what_was_predicted_is_written(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert [path.name for path in write(tmp_path / "a", verified=None)] == ["classification.csv"]
    assert [path.name for path in write(tmp_path / "b", classified=None)] == ["verification.csv"]
    assert len(list((tmp_path / "a" / "out").iterdir())) == len(list((tmp_path / "b" / "out").iterdir())) == 1
    with pytest.raises(InputError, match=r"verification\.csv: the source has no test images for the verif"):
        check(tmp_path / "a", tmp_path / "verification.csv")


# Pairs, whose label is a score; and identities by their folders' names.

SCORED = b"name,other,score\nv/a.jpg,v/b.jpg,0.250000\nv/c.jpg,v/a.jpg,-1.000000\nv/a.jpg,v/b.jpg,0.250000\n"


def write_scores(folder: Path, ids: Any, content: bytes = SCORED, sample: bytes | None = None) -> Path:
    submission_of = Submission(["ID", "Label"], ids=ids, labels="score")
    for name in ("predictions", "features"):
        (folder / name).mkdir(exist_ok=True)
    write_stats(folder / "features", replace(FACES, classes=CLASSES, submissions={"verification": submission_of}))
    (folder / "predictions" / "verification_test.csv").write_bytes(content)
    (folder / "predictions" / "test.csv").write_text("name,predicted,probability\n0.jpg,n000040,0.5\n")
    if sample is not None:
        (folder / "features" / "verification_sample_submission.csv").write_bytes(sample)
    [file] = submission.write(folder / "predictions", folder / "features", folder / "out")
    return file


@pytest.mark.parametrize(
    ("ids", "lines"),
    [
        ("row", "0,0.250000\n1,-1.000000\n2,0.250000\n"),
        ("pair", "v/a.jpg v/b.jpg,0.250000\nv/c.jpg v/a.jpg,-1.000000\nv/a.jpg v/b.jpg,0.250000\n"),
    ],
)
def test_a_pair_gets_its_score_under_its_row_or_its_names(ids: str, lines: str, tmp_path: Path) -> None:
    file = write_scores(tmp_path, ids)
    assert file.read_text() == f"ID,Label\n{lines}"
    assert check(tmp_path, file) == 3
    file.write_text(file.read_text().replace("-1.000000", "-1.5"))
    with pytest.raises(InputError, match=r"line 3: the label '-1\.5' of .* must be a number from -1 to 1"):
        check(tmp_path, file)


@pytest.mark.parametrize("score", ["", "nan", "1.01"])
def test_what_is_no_score_is_named(score: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"verification_test\.csv: line 2: the score .* must be a number from -1 to 1"):
        write_scores(tmp_path, "row", f"name,other,score\na,b,{score}\n".encode())


def test_identities_are_submitted_by_their_folders_names(tmp_path: Path) -> None:
    """Folder 2 of 0, 1, 2, 10, 11 is 2, whatever its place in the alphabet."""
    file = write_scores(tmp_path, "row")
    by_name = {"classification": Submission(["id", "label"], ids="name", labels="identity")}
    write_stats(tmp_path / "features", replace(FACES, classes=["0", "1", "2", "10", "11"], submissions=by_name))
    (tmp_path / "predictions" / "test.csv").write_text("name,predicted,probability\n1.jpg,2,0.5\n0.jpg,11,0.5\n")
    [file] = submission.write(tmp_path / "predictions", tmp_path / "features", tmp_path / "out")
    assert file.read_text() == "id,label\n1.jpg,2\n0.jpg,11\n"
    file.write_text("id,label\n1.jpg,2\n0.jpg,3\n")
    with pytest.raises(InputError, match=r"line 3: the label '3' of '0\.jpg' must be one of the identities"):
        check(tmp_path, file)


@pytest.mark.parametrize(
    ("classified", "verified", "words"),
    [
        ({"0.jpg": "n000040", "1.jpg": "n000007"}, None, "test.csv: line 3: the prediction 'n000007' for 1.jpg"),
        ({"0.jpg": UNKNOWN}, None, "test.csv: line 2: the prediction 'n000000' for 0.jpg"),
        (CLASSIFIED, {"0.jpg": "n000040"}, "verification_test.csv: line 2: the prediction 'n000040' for 0.jpg"),
    ],
)
def test_an_identity_that_cannot_be_meant_is_named_and_nothing_is_written(
    classified: dict[str, str], verified: dict[str, str] | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        write(tmp_path, classified, verified)
    assert str(caught.value) == f"{tmp_path / 'predictions'}/{words} must be an identity of stats.json"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "label", "words"),
    [
        ("classification", "3", "line 3: the label '3' of '00001.jpg' must be a class index from 0 to 2"),
        ("classification", "n000002", "line 3: the label 'n000002' of '00001.jpg' must be a class index from 0 to 2"),
        ("verification", "n000040", "line 3: the label 'n000040' of '1' must be one of the known identities or n000000"),
    ],
)
def test_a_label_that_there_is_not_is_refused_with_its_line(kind: str, label: str, words: str, tmp_path: Path) -> None:
    path = write(tmp_path)[KINDS.index(kind)]
    lines = path.read_text().splitlines()
    lines[2] = f"{lines[2].split(',')[0]},{label}"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        check(tmp_path, path)
    assert str(caught.value) == f"{path}: {words}"


def test_one_competition_s_file_is_not_the_other_s(tmp_path: Path) -> None:
    classification, verification = write(tmp_path)
    classification.replace(verification)
    with pytest.raises(InputError, match=r"line 2: must have the id '0', but has '00000\.jpg'"):
        check(tmp_path, verification)
    with pytest.raises(InputError, match=r"x\.csv: must be called classification\.csv or verification\.csv"):
        check(tmp_path, tmp_path / "x.csv")
