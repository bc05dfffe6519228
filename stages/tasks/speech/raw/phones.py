"""The phones of forced alignments and TIMIT, converted to our classes."""

from collections.abc import Sequence

import numpy as np

from stages.tasks.speech.raw.item import encode

SILENCES = {"[SIL]", "SIL", "SP", "PAU", "H#"}
UNKNOWN_WORDS = {"SPN", "[SPN]"}  # in forced alignments: speech of unknown phonemes
UNKNOWN_WORD = "an unknown word (spn) left out of a transcript"
# TIMIT's 61 phones as 39 (Lee and Hon 1989), except those that only need capitals. The flap dx, which they keep, becomes T;
# the glottal stop q is dropped.
CLOSURES = ("bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "epi")
TIMIT = {
    "ao": "AA", "ax": "AH", "ax-h": "AH", "axr": "ER", "dx": "T", "el": "L", "em": "M", "en": "N", "eng": "NG", "hv": "HH",
    "ix": "IH", "nx": "N", "ux": "UW", "zh": "SH", **dict.fromkeys(CLOSURES, "SIL"),
}  # fmt: skip


def of_timit(phones: Sequence[str]) -> list[str]:
    """Convert TIMIT's phones to those of other alignments."""
    return [TIMIT.get(phone.lower(), phone) for phone in phones if phone.lower() != "q"]


def classes(phones: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return classes (L,) uint8, with adjacent silences merged, and what was changed. Raises Problem."""
    known = ["SIL" if phone.upper() in SILENCES else phone.upper() for phone in phones if phone.upper() not in UNKNOWN_WORDS]
    merged = [phone for index, phone in enumerate(known) if (phone, *known[index - 1 : index]) != ("SIL", "SIL")]
    return encode(merged), (UNKNOWN_WORD,) * (len(phones) - len(known))
