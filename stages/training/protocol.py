"""The interface between a task and the training loop: its batches and its score."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol


class Score(NamedTuple):
    """The name of a task's score, and which direction is better."""

    name: str
    higher_is_better: bool

    def improves(self, new: float, old: float) -> bool:
        return new > old if self.higher_is_better else new < old


class Batches(Protocol):
    num_items: int

    def __len__(self) -> int: ...
    def epoch(self, epoch: int, first: int = 0) -> Iterator[Any]: ...
    def item_names(self, epoch: int, number: int) -> list[str]: ...
