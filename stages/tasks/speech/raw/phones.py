"""Phones as forced alignments and TIMIT write them, as our classes."""

from collections.abc import Sequence

import numpy as np

from stages.tasks.speech.raw.item import encode

SILENCES = {"[SIL]", "SIL", "SP", "PAU", "H#"}
UNKNOWN_WORDS = {"SPN", "[SPN]"}  # of forced alignments: speech, but nobody knows which phonemes
UNKNOWN_WORD = "an unknown word (spn) left out of a transcript"
# TIMIT's 61 phones as 39, after Lee and Hon (1989), where it takes more than capitals. They keep the flap dx, for which
# we have no symbol: it becomes T. The glottal stop q is dropped.
CLOSURES = ("bcl", "dcl", "gcl", "pcl", "tcl", "kcl", "epi")
TIMIT = {
    "ao": "AA", "ax": "AH", "ax-h": "AH", "axr": "ER", "dx": "T", "el": "L", "em": "M", "en": "N", "eng": "NG", "hv": "HH",
    "ix": "IH", "nx": "N", "ux": "UW", "zh": "SH", **dict.fromkeys(CLOSURES, "SIL"),
}  # fmt: skip


def of_timit(phones: Sequence[str]) -> list[str]:
    """TIMIT's phones as those of other alignments."""
    return [TIMIT.get(phone.lower(), phone) for phone in phones if phone.lower() != "q"]


def classes(phones: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class indices (L,) uint8, and what was changed. Neighbouring silences are one. Raises Problem."""
    known = ["SIL" if phone.upper() in SILENCES else phone.upper() for phone in phones if phone.upper() not in UNKNOWN_WORDS]
    merged = [phone for index, phone in enumerate(known) if (phone, *known[index - 1 : index]) != ("SIL", "SIL")]
    return encode(merged), (UNKNOWN_WORD,) * (len(phones) - len(known))
