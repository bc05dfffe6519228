"""Within-class covariance normalisation (WCCN), which suppresses the variation between images of one person.

Hatch, Kajarekar and Stolcke 2006, "Within-class covariance normalization for SVM-based speaker recognition" (Interspeech).
It is fitted to the training split. Shapes: N embeddings, D features, K classes.
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
    """mean (D,) and matrix (D, D), float32, so that evaluation uses the same numbers as those who load the file."""

    mean: Tensor
    matrix: Tensor

    def apply(self, embeddings: Tensor) -> Tensor:
        """Return matrix @ (embedding - mean) for embeddings (N, D) on the CPU: (N, D) float64."""
        return (embeddings.double() - self.mean.double()) @ self.matrix.double().T


def fit(batches: Iterable[tuple[Tensor, Tensor]], *, num_classes: int, num_features: int, eps: float) -> Whitening:
    """Return the mean and inv(L), where L L' = S + eps * mean(diag S) * I and S (D, D) is the within-class covariance.

    batches: embeddings (N, D) and classes (N,) int64, on the CPU. Classes of one image do not contribute to S. Raises
    InputError, without the key, if all classes have one image or if there is no inverse.
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
        raise InputError("needs people with two or more training images, but each has only one; set it to null")
    between = sums.T @ (sums / num.clamp(min=1)[:, None])
    within = (products - between) / num[num > 1].sum()
    if not within.isfinite().all():
        raise InputError("the embeddings have values that are not finite: train the run again at a lower learning rate")
    ridge = eps * within.diagonal().mean() * torch.eye(num_features, dtype=torch.float64)
    factor, failed = _cholesky(within + ridge)
    if failed:
        raise InputError(f"{eps} is too small for these embeddings, which vary within classes in too few directions")
    matrix = torch.linalg.solve_triangular(factor, torch.eye(num_features, dtype=torch.float64), upper=False)
    return Whitening((sums.sum(0) / num.sum()).float(), matrix.float())


def _cholesky(matrix: Tensor) -> tuple[Tensor, bool]:
    """Return the lower factor (D, D) and whether it failed. On one thread, as LAPACK's last bits depend on the number."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        factor, info = torch.linalg.cholesky_ex(matrix)
    finally:
        torch.set_num_threads(num_threads)
    return factor, bool(info)


def save(folder: Path, whitening: Whitening, *, eps: float, weights_sha256: str) -> None:
    """Write the whitening into a run's folder of predictions, with its eps and the weights' hash."""
    checkpoint.save(folder / FILE, {"weights": whitening._asdict(), "whiten": eps, "weights_sha256": weights_sha256})


def load(folder: Path, *, eps: float | None, weights_sha256: str) -> Whitening | None:
    """Load the whitening that evaluation saved in `folder`; None if eps is None.

    Raises InputError if it is missing, damaged, or of other weights or another eps, as the threshold would not fit.
    """
    file, again = folder / FILE, f"`dvc repro evaluate@{folder.name}` makes it again"
    if eps is None:
        if file.exists():
            raise InputError(f"{folder}: was made with `evaluate.whiten`, which is null now; {again}")
        return None
    if not file.is_file():
        raise InputError(f"{file}: is missing, but `evaluate.whiten` needs it; {again}")
    saved = checkpoint.load(file)
    if saved["weights_sha256"] != weights_sha256:
        raise InputError(f"{file}: is of other weights than the checkpoint's; {again}")
    if saved["whiten"] != eps:
        raise InputError(f"{file}: was made with `evaluate.whiten` {saved['whiten']}, which is {eps} now; {again}")
    return Whitening(**saved["weights"])
