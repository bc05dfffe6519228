"""Is this face anybody we know? From embeddings to the most similar known face, a threshold and the errors of pairs.

Shapes: Q queries, R known faces, D the embedding, P pairs, T points of a ROC curve. A score is a cosine similarity.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from stages.core.errors import InputError

NUM_BINS = 1000  # of scores, for their histogram


def most_similar(queries: Tensor, known: Tensor, *, block: int = 256) -> tuple[Tensor, Tensor]:
    """The best score (Q,) float32 of each query (Q, D) and the index (Q,) of that known face (R, D); of equals the first.

    block: how many known faces are compared at once; memory grows with Q * block rather than Q * R.
    An embedding of length zero is similar to nothing: its scores are 0. Raises InputError for one that is not finite.

    Products are taken in float64 and rounded to float32. In float32 alone, one image under two identities would score
    differently by the last bit, which depends on where in a block it stands, and the later might win.
    (MPS has no float64: give CPU tensors there.)
    """
    assert len(known), "nobody is known"
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
    """How many pairs have which score: what errors of pairs depend on, in memory that grows with the genuine ones alone.

    genuine, impostor (V,) int64: pairs of one person, and of two, by score, ascending. Impostors between two genuine scores
    are counted together, for no rate of genuine pairs tells them apart.
    bins (2, NUM_BINS) int64: genuine and impostor pairs in equal parts of -1 to 1.
    """

    genuine: Tensor
    impostor: Tensor
    bins: Tensor


def count_pairs(queries: Tensor, known: Tensor, identities: Tensor, known_identities: Tensor, *, block: int = 256) -> Pairs:
    """Every query (Q, D) with every known face (R, D); genuine if they have the same identity, (Q,) and (R,) int64.

    A query that matches nobody has identity -1. Scores are most_similar's; block, as there, bounds the memory.
    """
    assert (known_identities >= 0).all()
    unit, begins = _unit(queries), range(0, len(known), block)

    def scores(begin: int) -> tuple[Tensor, Tensor]:
        """Of one block, those of genuine pairs and those of impostors."""
        found = (unit @ _unit(known[begin : begin + block]).T).float()
        same = identities[:, None] == known_identities[begin : begin + block]
        return found[same], found[~same]

    of_one_person = torch.cat([scores(begin)[0] for begin in begins])
    exact, counts = of_one_person.unique(return_counts=True)
    genuine, impostor = (torch.zeros(2 * len(exact) + 1, dtype=torch.long) for _ in range(2))
    genuine[1::2] = counts  # the others are what lies between
    bins = torch.stack((_bins(of_one_person), torch.zeros(NUM_BINS, dtype=torch.long)))
    for begin in begins:
        _, others = scores(begin)
        bins[1] += _bins(others)
        # Twice the index among the genuine scores, and one more for what equals one of them.
        index = torch.searchsorted(exact, others) + torch.searchsorted(exact, others, right=True)
        impostor += index.bincount(minlength=len(impostor))
    kept = (genuine + impostor) > 0
    return Pairs(genuine[kept], impostor[kept], bins)


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """The score (P,) float32 of each of P pairs (P, D), as `most_similar` has them. Raises InputError as it does."""
    return (_unit(left) * _unit(right)).sum(1).float()


def tally(scores: Tensor, same: Tensor) -> Pairs:
    """Pairs given one by one: their scores (P,), and whether each is of one person (P,) bool."""
    values, group = scores.unique(return_inverse=True)
    genuine, impostor = (torch.bincount(group[kind], minlength=len(values)) for kind in (same, ~same))
    return Pairs(genuine, impostor, torch.stack((_bins(scores[same]), _bins(scores[~same]))))


def _bins(scores: Tensor) -> Tensor:
    """How many of the scores (P,) lie in each of NUM_BINS equal parts of -1 to 1."""
    return ((scores + 1) * (NUM_BINS / 2)).long().clamp(0, NUM_BINS - 1).bincount(minlength=NUM_BINS)


def _unit(embeddings: Tensor) -> Tensor:
    """Embeddings (N, D) in float64 at length 1; zeros stay zeros."""
    unit = F.normalize(embeddings.double(), dim=1, eps=1e-300)
    if not unit.isfinite().all():
        raise InputError("the embeddings have values that are not finite: train the run again at a lower learning rate")
    return unit


def accuracy(scores: Tensor, right: Tensor, unknown: Tensor, threshold: float) -> float:
    """Share of the queries answered rightly: known, and the right match reaches the threshold; or unknown, and none does.

    scores (Q,) of the best matches. right (Q,) bool: that match is the true one. unknown (Q,) bool: nobody is.
    """
    assert len(scores)
    return torch.where(scores >= threshold, right, unknown).double().mean().item()


def choose_threshold(scores: Tensor, right: Tensor, unknown: Tensor) -> float:
    """The threshold of the highest `accuracy`, exactly: every distinct score is tried as the border. O(Q log Q).

    The answer is the middle of an interval of best thresholds: of several, the widest of those that lie between two
    scores, the lowest among equals. Only where accepting all, or none, is better than all of these is it the middle
    between the outermost score and -1 or 1. Where the threshold makes no difference, it is 0.

    It is a number of the scores' own precision, so that comparing with them rounds nothing.
    """
    values, group = scores.cpu().unique(return_inverse=True)
    gain = unknown.cpu().long() - right.cpu().long()  # of one query that falls below the threshold
    gains = torch.zeros(len(values), dtype=torch.long).index_add_(0, group, gain)
    values, gains = values[gains != 0], gains[gains != 0]  # the borders that matter: intervals are as wide as can be
    if not len(values):
        return 0.0
    above = torch.nextafter(values[-1:], torch.full_like(values[-1:], torch.inf))
    lower = torch.cat([values[:1].clamp(max=-1), values])  # interval i is lower[i] < threshold <= upper[i]
    upper = torch.cat([values, above.clamp(min=1)])
    width = upper - lower
    width[0] = width[-1] = 0
    correct = torch.cat([torch.zeros(1, dtype=torch.long), gains.cumsum(0)])  # but for a constant
    chosen = torch.where(correct == correct.max(), width, -1).argmax()
    middle = (lower[chosen] + upper[chosen]) / 2
    return torch.where(middle > lower[chosen], middle, upper[chosen]).item()  # neighbouring floats have no middle


def roc(pairs: Pairs) -> tuple[Tensor, Tensor]:
    """False and true accept rate, (T,) float64: from (0, 0), where no pair is accepted, one point a value to (1, 1).

    There are pairs of both kinds. A pair is accepted whose score reaches the threshold.
    """
    assert pairs.genuine.any() and pairs.impostor.any()
    far, tar = (F.pad(num.flip(0).cumsum(0), (1, 0)).double() / num.sum() for num in (pairs.impostor, pairs.genuine))
    return far, tar


def equal_error_rate(far: Tensor, tar: Tensor) -> float:
    """Where the false accept rate equals the false reject rate, 1 - TAR.

    Seldom a point of the curve does: between the two points where the rates cross, both are taken as straight lines.
    """
    reject = 1 - tar
    excess = reject - far  # falls from 1 to -1, strictly: each point accepts at least one pair more
    after = int((excess <= 0).long().argmax())
    weight = excess[after - 1] / (excess[after - 1] - excess[after])
    return torch.lerp(far[after - 1], far[after], weight).item()


def roc_auc(far: Tensor, tar: Tensor) -> float:
    """The probability that a genuine pair scores higher than an impostor pair, where a tie counts half.

    That rank statistic is the area under the curve by trapezoids: Hanley and McNeil 1982, Radiology 143(1).
    """
    return torch.trapezoid(tar, far).item()


def tar_at_far(far: Tensor, tar: Tensor, limit: float) -> float:
    """The highest true accept rate whose false accept rate is at most `limit`; no interpolation.

    With fewer than 1 / limit impostor pairs it is the rate at which none is accepted, which says less than it seems to.
    """
    return tar[far <= limit].max().item()


def pair_metrics(pairs: Pairs) -> dict[str, Any]:
    """The errors of pairs, and how many there are; without pairs of both kinds only the latter."""
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
