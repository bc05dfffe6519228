"""The receipt of a file submitted to Kaggle: <receipts>/<competition>/<SHA-256 of the file>.json.

A receipt may be deleted; then the scores are read again, such as the private one, which appears when a competition ends.
Two checkouts have separate receipts and see each other only through Kaggle's list: both send what it does not show yet.
"""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from stages.config.check import Positive, build
from stages.core import paths
from stages.core.errors import InputError


@dataclass(frozen=True)
class Facts:
    """The state of a file, in the order in which it becomes known.

    sent: when it was sent, or when the response was lost. reference: the submission's number at Kaggle.
    """

    file: str | None = None
    description: str | None = None
    sent: str | None = None
    reference: Annotated[int, Positive] | None = None
    status: Literal["complete", "error"] | None = None
    public_score: float | None = None
    private_score: float | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        if self.status is not None and self.reference is None:
            raise ValueError("reference: missing beside a status")
        if self.status == "error" and self.error is None:
            raise ValueError("error: missing beside that status")
        try:
            self.age()
        except (ValueError, OverflowError):
            raise ValueError(f"sent: must be a time, but is {self.sent!r}") from None

    def age(self) -> float:
        """Return the seconds since it was sent, infinite if it was not."""
        return math.inf if self.sent is None else time.time() - datetime.fromisoformat(self.sent).timestamp()


class Receipt:
    """A file's facts on disk. Raises InputError if the file at `path` is not a receipt."""

    def __init__(self, path: Path) -> None:
        self.path, self.facts = path, Facts()
        try:
            if path.exists():
                self.facts = build(Facts, json.loads(path.read_text()), "")
        except (ValueError, RecursionError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: is not a receipt ({reason}); delete it, and Kaggle's list is used instead") from None

    def known(self) -> dict[str, Any]:
        return {key: value for key, value in dataclasses.asdict(self.facts).items() if value is not None}

    def add(self, **facts: Any) -> None:
        self.facts = dataclasses.replace(self.facts, **facts)
        with paths.replacing(self.path) as partial:
            partial.write_text(json.dumps(self.known(), indent=2) + "\n")

    def discard(self) -> None:
        """Forget the file, which Kaggle has refused."""
        self.facts = Facts()
        self.path.unlink()
