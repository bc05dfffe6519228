"""The tables beside the images: labels of the verification's dev split, and sample submissions."""

from collections.abc import Mapping, Sequence

from stages.config.check import nearest
from stages.core.errors import InputError
from stages.images.raw.listing import Listing
from stages.images.raw.tables import check_count, check_ids, check_sample, read_table
from stages.tasks.faces import UNKNOWN
from stages.tasks.faces.raw.layout import Missing

LABELS, IDENTITIES = "verification_dev.csv", "dev_identities.csv"  # the latter in fall 2022
CLASSIFICATION, VERIFICATION = "classification_sample_submission.csv", "verification_sample_submission.csv"
Expected = tuple[str, Sequence[str]]  # the kind of a submission's ids, in words, and the ids


def verification_labels(listing: Listing, names: Sequence[str], known: Mapping[str, int]) -> dict[str, int]:
    """Read the labels of unknown_dev, by image; -1 for an unknown person. names: the images, sorted as the table's rows.

    Raises Missing, and InputError, naming the line, if there is not one row per image, or for an unknown label.
    """
    file = listing.table(f"{LABELS}|{IDENTITIES}")
    if file is None:
        if names:
            raise Missing(f"{LABELS}, which labels the images of unknown_dev, is missing")
        return {}
    table = read_table(listing, file)
    if file.member.endswith(LABELS):
        if table.header != ["id", "label"]:
            raise InputError(f"{table.where}: its first line must be id,label, but is {','.join(table.header)!r}")
        check_ids(table.where, table.column("id"), row_ids(len(names)), "images of unknown_dev")
    check_count(table.where, len(table.rows), len(names), "images of unknown_dev")
    labels = {}
    for name, row, identity in zip(names, table.rows, table.column("label"), strict=True):
        if identity not in known and identity != UNKNOWN:
            hint = nearest(identity, [*known, UNKNOWN])
            raise InputError(f"{table.where}: line {row.line}: {identity!r} is neither in known nor {UNKNOWN}; {hint}")
        labels[name] = known.get(identity, -1)
    return labels


def sample_submissions(
    listing: Listing, *, classification: Expected | None = None, verification: Expected | None = None
) -> dict[str, bytes]:
    """Read the sample files of the expected submissions, by the name that they get.

    Raises InputError for a sample with other ids (in any order) or not two columns.
    """
    samples = {}
    # Without a classification, the verification's sample may have the plain name.
    either = VERIFICATION if classification is not None else rf"{VERIFICATION}|sample_submission\.csv"
    for name, pattern, expected in (
        (CLASSIFICATION, CLASSIFICATION, classification),
        (VERIFICATION, either, verification),
    ):
        file = listing.table(pattern)
        if file is not None and expected is not None:
            things, ids = expected
            check_sample(listing, file, ids, things)
            samples[name] = listing.read(file)
    return samples


def row_ids(num: int) -> list[str]:
    """Return the ids of `num` rows: their numbers from 0."""
    return [str(index) for index in range(num)]
