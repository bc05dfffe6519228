"""Within-class covariance normalisation (WCCN): what differs between images of one person shall tell no people apart.

Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization for SVM-based speaker recognition" (Interspeech).
It is computed from the training split alone. Shapes: N embeddings, D their size, K classes.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from stages.core.errors import InputError
from stages.data import checkpoint

FILE = "whitening.safetensors"  # beside a run's predictions


class Whitening(NamedTuple):
    """mean (D,) and matrix (D, D), float32: rounded before first use, so that evaluation used what others load."""

    mean: Tensor
    matrix: Tensor

    def apply(self, embeddings: Tensor) -> Tensor:
        """matrix @ (embedding - mean) of each embedding (N, D), on the CPU: (N, D) float64."""
        return (embeddings.double() - self.mean.double()) @ self.matrix.double().T


def fit(batches: Iterable[tuple[Tensor, Tensor]], *, num_classes: int, num_features: int, eps: float) -> Whitening:
    """The mean, and inv(L), where L L' = S + eps * mean(diag S) * I and S (D, D) is the covariance within classes.

    batches: embeddings (N, D) and classes (N,) int64, on the CPU; what is kept of them are sums, K * D + D * D numbers.
    A class of one image says nothing of how images of a class differ, and adds nothing to S.
    Raises InputError, without the key, if there are only such classes or S with eps has no inverse.
    """
    num = torch.zeros(num_classes, dtype=torch.long)
    sums = torch.zeros(num_classes, num_features, dtype=torch.float64)
    products = torch.zeros(num_features, num_features, dtype=torch.float64)
    for embeddings, classes in batches:
        values = embeddings.double()
        num += classes.bincount(minlength=num_classes)
        sums.index_add_(0, classes, values)
        products.addmm_(values.T, values)
    if num.max() < 2:
        raise InputError("needs people with two training images or more, and here each has one; null compares without it")
    between = sums.T @ (sums / num.clamp(min=1)[:, None])
    within = (products - between) / num[num > 1].sum()
    if not within.isfinite().all():
        raise InputError("the embeddings have values that are not finite: train the run again at a lower learning rate")
    ridge = eps * within.diagonal().mean() * torch.eye(num_features, dtype=torch.float64)
    factor, failed = _cholesky(within + ridge)
    if failed:
        raise InputError(f"{eps} is too little for these embeddings, which vary within classes in too few directions")
    matrix = torch.linalg.solve_triangular(factor, torch.eye(num_features, dtype=torch.float64), upper=False)
    return Whitening((sums.sum(0) / num.sum()).float(), matrix.float())


def _cholesky(matrix: Tensor) -> tuple[Tensor, bool]:
    """The lower factor (D, D), and whether there is none. On one thread: LAPACK's last bits follow their number."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        factor, info = torch.linalg.cholesky_ex(matrix)
    finally:
        torch.set_num_threads(num_threads)
    return factor, bool(info)


def save(folder: Path, whitening: Whitening, *, eps: float, weights_sha256: str) -> None:
    """Write it into a run's folder of predictions, with what it belongs to."""
    checkpoint.save(folder / FILE, {"weights": whitening._asdict(), "whiten": eps, "weights_sha256": weights_sha256})


def load(folder: Path, *, eps: float | None, weights_sha256: str) -> Whitening | None:
    """What evaluation saved in this folder; where eps is None, None.

    Raises InputError if it is missing, damaged or of other weights, or if evaluation had another eps: its threshold is for
    other scores than those to come.
    """
    file, again = folder / FILE, f"`dvc repro evaluate@{folder.name}` makes it again"
    if eps is None:
        if file.exists():
            raise InputError(f"{folder}: was made with `evaluate.whiten`, which is null now; {again}")
        return None
    if not file.is_file():
        raise InputError(f"{file}: is not there, and holds what `evaluate.whiten` needs; {again}")
    saved = checkpoint.load(file)
    if saved["weights_sha256"] != weights_sha256:
        raise InputError(f"{file}: is of other weights than the checkpoint's; {again}")
    if saved["whiten"] != eps:
        raise InputError(f"{file}: was made with `evaluate.whiten` {saved['whiten']}, which is {eps} now; {again}")
    return Whitening(**saved["weights"])
