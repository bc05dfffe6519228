"""Verification: the most similar known face, thresholds, and the error rates of pairs.

Shapes: Q queries, R known faces, D features, P pairs, T points of a ROC curve. A score is a cosine similarity.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.core.errors import InputError

NUM_BINS = 1000  # in the histogram of scores


def most_similar(queries: Tensor, known: Tensor, *, block: int = 256) -> tuple[Tensor, Tensor]:
    """Return the best score (Q,) float32 of each query (Q, D) and the index (Q,) of that known face (R, D).

    The first of equal scores wins. An embedding of length zero has scores of 0. block: known faces compared at once; memory
    grows with Q * block. Raises InputError for an embedding that is not finite.

    Products are computed in float64 and rounded to float32: in float32 the last bit depends on the position in a block, so
    that of two equal faces the later one might win. (MPS has no float64: pass CPU tensors.)
    """
    assert len(known), "no known faces"
    unit = _unit(queries)
    best = torch.full((len(queries),), -torch.inf, device=queries.device)
    index = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    for begin in range(0, len(known), block):
        scores, indices = (unit @ _unit(known[begin : begin + block]).T).float().max(1)
        better = scores > best
        best = torch.where(better, scores, best)
        index = torch.where(better, indices + begin, index)
    return best, index


class Pairs(NamedTuple):
    """Counts of pairs by score, from which error rates follow, in memory that grows only with the genuine pairs.

    genuine, impostor (V,) int64: pairs of one person and of two people, by ascending score. Impostors between two genuine
    scores are counted together, which does not change the error rates.
    bins (2, NUM_BINS) int64: histograms of the genuine and impostor scores, from -1 to 1.
    """

    genuine: Tensor
    impostor: Tensor
    bins: Tensor


def count_pairs(queries: Tensor, known: Tensor, identities: Tensor, known_identities: Tensor, *, block: int = 256) -> Pairs:
    """Count all pairs of a query (Q, D) and a known face (R, D); genuine if their identities, (Q,) and (R,), are equal.

    An unknown query has identity -1. Scores and block as in `most_similar`.
    """
    assert (known_identities >= 0).all()
    unit, begins = _unit(queries), range(0, len(known), block)

    def scores(begin: int) -> tuple[Tensor, Tensor]:
        """The genuine and impostor scores of one block."""
        found = (unit @ _unit(known[begin : begin + block]).T).float()
        same = identities[:, None] == known_identities[begin : begin + block]
        return found[same], found[~same]

    genuine_scores = torch.cat([scores(begin)[0] for begin in begins])
    distinct, counts = genuine_scores.unique(return_counts=True)
    genuine, impostor = (torch.zeros(2 * len(distinct) + 1, dtype=torch.long) for _ in range(2))
    genuine[1::2] = counts  # the even entries count the impostors in between
    bins = torch.stack((_bins(genuine_scores), torch.zeros(NUM_BINS, dtype=torch.long)))
    for begin in begins:
        _, impostor_scores = scores(begin)
        bins[1] += _bins(impostor_scores)
        # Twice the index among the genuine scores, plus one if the score equals one of them.
        index = torch.searchsorted(distinct, impostor_scores) + torch.searchsorted(distinct, impostor_scores, right=True)
        impostor += index.bincount(minlength=len(impostor))
    kept = (genuine + impostor) > 0
    return Pairs(genuine[kept], impostor[kept], bins)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Return the scores (P,) float32 of P pairs, (P, D) each. Raises InputError like `most_similar`."""
    return (_unit(left) * _unit(right)).sum(1).float()


def tally(scores: Tensor, same: Tensor) -> Pairs:
    """Count listed pairs by their scores (P,). same (P,) bool: whether a pair is of one person."""
    values, group = scores.unique(return_inverse=True)
    genuine, impostor = (torch.bincount(group[kind], minlength=len(values)) for kind in (same, ~same))
    return Pairs(genuine, impostor, torch.stack((_bins(scores[same]), _bins(scores[~same]))))


def _bins(scores: Tensor) -> Tensor:
    """Return the histogram of scores (P,) in NUM_BINS equal bins from -1 to 1."""
    return ((scores + 1) * (NUM_BINS / 2)).long().clamp(0, NUM_BINS - 1).bincount(minlength=NUM_BINS)


def _unit(embeddings: Tensor) -> Tensor:
    """Return the embeddings (N, D) in float64, normalised to length 1; zeros stay zeros."""
    unit = F.normalize(embeddings.double(), dim=1, eps=1e-300)
    if not unit.isfinite().all():
        raise InputError("the embeddings have values that are not finite: train the run again at a lower learning rate")
    return unit


def accuracy(scores: Tensor, right: Tensor, unknown: Tensor, threshold: float) -> float:
    """Return the share of queries whose true match reaches the threshold, or that are unknown and do not reach it.

    scores (Q,) of the best matches. right (Q,) bool: the match is the true one. unknown (Q,) bool: there is no true one.
    """
    assert len(scores)
    return torch.where(scores >= threshold, right, unknown).double().mean().item()


def choose_threshold(scores: Tensor, right: Tensor, unknown: Tensor) -> float:
    """Return the threshold of the highest `accuracy`, found by trying every distinct score. O(Q log Q).

    It is the middle of the widest interval of best thresholds between two scores, the lowest among equals. If accepting all
    or none is better, it is the middle between the outermost score and -1 or 1. If the threshold makes no difference, it
    is 0. It has the scores' precision, so that comparisons are exact.
    """
    values, group = scores.cpu().unique(return_inverse=True)
    gain = unknown.cpu().long() - right.cpu().long()  # when a query falls below the threshold
    gains = torch.zeros(len(values), dtype=torch.long).index_add_(0, group, gain)
    values, gains = values[gains != 0], gains[gains != 0]  # so that the intervals are as wide as possible
    if not len(values):
        return 0.0
    above = torch.nextafter(values[-1:], torch.full_like(values[-1:], torch.inf))
    lower = torch.cat([values[:1].clamp(max=-1), values])  # interval i is lower[i] < threshold <= upper[i]
    upper = torch.cat([values, above.clamp(min=1)])
    width = upper - lower
    width[0] = width[-1] = 0
    correct = torch.cat([torch.zeros(1, dtype=torch.long), gains.cumsum(0)])  # up to a constant
    chosen = torch.where(correct == correct.max(), width, -1).argmax()
    middle = (lower[chosen] + upper[chosen]) / 2
    return torch.where(middle > lower[chosen], middle, upper[chosen]).item()  # neighbouring floats have no middle


def roc(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Return false and true accept rates, (T,) float64 each, from (0, 0) to (1, 1), one point per distinct score.

    A pair is accepted if its score reaches the threshold. There must be pairs of both kinds.
    """
    assert pairs.genuine.any() and pairs.impostor.any()
    far, tar = (F.pad(num.flip(0).cumsum(0), (1, 0)).double() / num.sum() for num in (pairs.impostor, pairs.genuine))
    return far, tar


def equal_error_rate(far: Tensor, tar: Tensor) -> float:
    """Return the rate at which false accept rate and false reject rate, 1 - TAR, are equal.

    Between two points of the curve, both rates are interpolated linearly.
    """
    reject = 1 - tar
    excess = reject - far  # falls from 1 to -1, strictly: each point accepts at least one pair more
    after = int((excess <= 0).long().argmax())
    weight = excess[after - 1] / (excess[after - 1] - excess[after])
    return torch.lerp(far[after - 1], far[after], weight).item()


def roc_auc(far: Tensor, tar: Tensor) -> float:
    """Return the area under the curve by trapezoids.

    It is the probability that a genuine pair scores higher than an impostor pair, with ties counted half (Hanley and McNeil
    1982, Radiology 143(1)).
    """
    return torch.trapezoid(tar, far).item()


def tar_at_far(far: Tensor, tar: Tensor, limit: float) -> float:
    """Return the highest true accept rate whose false accept rate is at most `limit`, without interpolation.

    With fewer than 1 / limit impostor pairs that is the rate without any false accept.
    """
    return tar[far <= limit].max().item()


def pair_metrics(pairs: Pairs) -> dict[str, Any]:
    """Return the number of pairs and, if there are pairs of both kinds, their error rates."""
    counts = {"num_genuine": int(pairs.genuine.sum()), "num_impostor": int(pairs.impostor.sum())}
    if not all(counts.values()):
        return counts
    far, tar = roc(pairs)
    return {
        "eer": equal_error_rate(far, tar),
        "auc": roc_auc(far, tar),
        "tar_at_1e-2": tar_at_far(far, tar, 1e-2),
        "tar_at_1e-3": tar_at_far(far, tar, 1e-3),
        **counts,
    }
