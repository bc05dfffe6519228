"""Best matches, thresholds and the errors of pairs against plain Python that tries everything."""

import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from stages.core.errors import InputError
from stages.tasks.faces.evaluation import verification

ROOT = Path(__file__).parents[3]

SMALL = st.lists(st.integers(-3, 3), min_size=3, max_size=3)
SCORE = st.one_of(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0]), st.floats(-1, 1, width=32))
QUERIES = st.lists(st.tuples(SCORE, st.sampled_from(["right", "wrong", "unknown"])), min_size=1, max_size=12)
PAIRS = st.lists(st.tuples(SCORE, st.booleans()), max_size=14).map(lambda some: [(0.25, True), (0.5, False), *some])


def signed_square(query: list[int], known: list[int]) -> Fraction:
    """The cosine times its own size, exactly: it orders known faces as the cosine does."""
    dot = sum(a * b for a, b in zip(query, known, strict=True))
    return Fraction(dot * abs(dot), sum(a * a for a in query) * sum(b * b for b in known) or 1)


@given(st.lists(SMALL, max_size=4), st.lists(SMALL, min_size=1, max_size=9), st.integers(1, 10))
@settings(deadline=None)
def test_the_first_of_the_most_similar_is_found_in_blocks_of_any_size(
    queries: list[list[int]], known: list[list[int]], block: int
) -> None:
    scores, indices = verification.most_similar(
        torch.tensor(queries, dtype=torch.float32).view(-1, 3), torch.tensor(known, dtype=torch.float32), block=block
    )
    exact = [[signed_square(query, other) for other in known] for query in queries]
    for row, index in zip(exact, indices.tolist(), strict=True):
        assert row[index] == max(row)
        assert index == row.index(max(row)) or max(row) == 0  # a right angle's cosine may come out as 1e-17
    cosines = [math.copysign(math.sqrt(abs(max(row))), max(row)) for row in exact]
    assert scores.tolist() == pytest.approx(cosines, abs=1e-7) and scores.dtype == torch.float32


@pytest.mark.parametrize(("num_queries", "num_known"), [(1, 7), (17, 300)])
def test_of_known_faces_with_one_image_the_first_wins(num_queries: int, num_known: int) -> None:
    random = torch.Generator().manual_seed(0)
    queries = torch.randn(num_queries, 512, generator=random)
    image = torch.randn(1, 512, generator=random)
    for block in (1, 5, 256):
        assert verification.most_similar(queries, image.expand(num_known, -1), block=block)[1].tolist() == [0] * num_queries


def test_lengths_of_embeddings_do_not_matter_and_no_length_is_similar_to_nothing() -> None:
    random = torch.Generator().manual_seed(0)
    queries, known = torch.randn(5, 8, generator=random), torch.randn(9, 8, generator=random)
    plain = verification.most_similar(queries, known)
    for scale in (1e-30, 1e30):
        scaled = verification.most_similar(queries * scale, known * torch.rand(9, 1, generator=random).add(0.1) * scale)
        assert scaled[1].equal(plain[1]) and torch.allclose(scaled[0], plain[0])
    zero = torch.zeros(1, 8)
    assert [part.tolist() for part in verification.most_similar(zero, known)] == [[0.0], [0]]
    assert [part.tolist() for part in verification.most_similar(known[:1], torch.cat([-known[:1], zero]))] == [[0.0], [1]]
    assert verification.most_similar(known, known)[0].tolist() == [1.0] * 9


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_embedding_that_is_not_finite_is_an_error(value: float) -> None:
    broken, whole = torch.tensor([[1.0, value]]), torch.ones(1, 2)
    for arguments in ((broken, whole), (whole, broken)):
        with pytest.raises(InputError, match="not finite"):
            verification.most_similar(*arguments)


PEAK = """
import torch
from stages.tasks.faces.evaluation.verification import count_pairs, most_similar

def peak():
    return next(int(line.split()[1]) / 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

torch.set_num_threads(1)
queries, known = torch.ones(500, 8), torch.ones(8000, 8)
people = torch.arange(len(known))
most_similar(queries[:1], known[:1]), count_pairs(queries[:1], known[:1], people[:1], people[:1])
before = peak()
most_similar(queries, known), count_pairs(queries, known, people[: len(queries)], people)
blocks = peak()
most_similar(queries, known, block=len(known))
print(blocks - before, peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_memory_does_not_grow_with_queries_times_known() -> None:
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc gives back what is freed, at once
    command = [sys.executable, "-c", PEAK]
    output = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
    blocks, whole = map(float, output.split())
    assert whole > 500 * 8000 * 8 / 2**20, "this does measure the matrix of scores"
    assert blocks < whole / 4


EMBEDDINGS = st.lists(st.tuples(*[st.integers(-2, 2)] * 2), min_size=1, max_size=9)


@given(EMBEDDINGS, EMBEDDINGS, st.integers(1, 4), st.integers(1, 5), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=40)
def test_counted_pairs_are_all_queries_with_all_known_and_have_the_errors_of_all(
    some: list[tuple[int, int]], others: list[tuple[int, int]], num_people: int, block: int, random: Random
) -> None:
    queries, known = (torch.tensor(rows, dtype=torch.float32) for rows in (some, others))
    identities = [random.randrange(-1, num_people) for _ in some]
    of_known = [random.randrange(num_people) for _ in others]
    counted = verification.count_pairs(queries, known, torch.tensor(identities), torch.tensor(of_known), block=block)
    every = [
        (verification.most_similar(query[None], other[None])[0].item(), identity == person)
        for query, identity in zip(queries, identities, strict=True)
        for other, person in zip(known, of_known, strict=True)
    ]
    expected = verification.pair_metrics(tally(every))
    assert verification.pair_metrics(counted) == pytest.approx(expected, abs=1e-12)
    assert counted.bins.sum(1).tolist() == list(expected.values())[-2:]
    if "eer" in expected:
        curve = {tuple(point) for point in torch.stack(verification.roc(counted), 1).tolist()}
        assert curve <= {tuple(map(float, point)) for point in points(every)}


def test_bins_are_equal_parts_of_minus_one_to_one() -> None:
    bins = verification.NUM_BINS
    known = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    counted = verification.count_pairs(known[:1], known, torch.tensor([0]), torch.tensor([0, 1, 2]))
    assert counted.bins[0].nonzero().flatten().tolist() == [bins - 1]
    assert counted.bins[1].nonzero().flatten().tolist() == [0, bins // 2]


def split(queries: list[tuple[float, str]]) -> tuple[Tensor, Tensor, Tensor]:
    scores = torch.tensor([score for score, _ in queries])
    return (
        scores,
        torch.tensor([kind == "right" for _, kind in queries]),
        torch.tensor([kind == "unknown" for _, kind in queries]),
    )


def num_right(queries: list[tuple[float, str]], threshold: float) -> int:
    return sum(kind == ("right" if score >= threshold else "unknown") for score, kind in queries)


@given(QUERIES)
@example([(1.0, "unknown")])
@example([(-1.0, "right")])
@example([(0.5, "unknown"), (math.nextafter(0.5, 1), "right")])
@example([(float(torch.nextafter(torch.tensor(0.5), torch.tensor(1.0))), "right"), (0.5, "unknown")])
@settings(deadline=None, max_examples=100)
def test_no_threshold_is_better_than_the_chosen_one(queries: list[tuple[float, str]]) -> None:
    queries = [(torch.tensor(score).item(), kind) for score, kind in queries]
    threshold = verification.choose_threshold(*split(queries))
    assert math.isfinite(threshold)
    best = max(num_right(queries, border) for border in [-math.inf, math.inf, *(score for score, _ in queries)])
    assert num_right(queries, threshold) == best
    assert verification.accuracy(*split(queries), threshold) == best / len(queries)
    assert verification.choose_threshold(*split(queries[::-1])) == threshold


@pytest.mark.parametrize(
    ("queries", "threshold"),
    [
        ([(0.25, "unknown"), (0.75, "right")], 0.5),
        ([(0.25, "unknown"), (0.5, "wrong"), (0.75, "right")], 0.5),  # a mistake at any threshold is no border
        ([(0.25, "unknown"), (0.5, "right"), (0.5, "unknown"), (0.75, "right")], 0.5),  # nor are two that even out
        ([(0.0, "unknown"), (0.125, "right"), (0.25, "unknown"), (0.75, "right")], 0.5),  # the wider of two
        ([(0.0, "unknown"), (0.25, "right"), (0.5, "unknown"), (0.75, "right")], 0.125),  # the lower of two
        ([(-0.5, "right"), (0.0, "unknown"), (0.25, "right")], 0.125),  # accepting all is as good, but says less
        ([(0.5, "right"), (0.75, "right")], -0.25),
        ([(0.25, "unknown"), (0.5, "unknown")], 0.75),
        ([(0.5, "right"), (0.75, "unknown")], -0.25),  # all or none: all
        ([(0.5, "wrong")], 0.0),
        ([], 0.0),
    ],
)
def test_the_threshold_is_the_middle_of_the_widest_best_interval(queries: list[tuple[float, str]], threshold: float) -> None:
    scores, right, unknown = split(queries)
    assert verification.choose_threshold(scores, right.bool(), unknown.bool()) == threshold


def rates(pairs: list[tuple[float, bool]], threshold: float) -> tuple[Fraction, Fraction]:
    """False and true accept rate."""
    accepted = [genuine for score, genuine in pairs if score >= threshold]
    num = sum(genuine for _, genuine in pairs)
    return Fraction(accepted.count(False), len(pairs) - num), Fraction(accepted.count(True), num)


def points(pairs: list[tuple[float, bool]]) -> list[tuple[Fraction, Fraction]]:
    borders = sorted({score for score, _ in pairs}, reverse=True)
    return [rates(pairs, border) for border in [math.inf, *borders]]


def tally(pairs: list[tuple[float, bool]]) -> verification.Pairs:
    """Every distinct score for itself."""
    values = sorted({score for score, _ in pairs})
    genuine, impostor = ([pairs.count((value, kind)) for value in values] for kind in (True, False))
    return verification.Pairs(torch.tensor(genuine), torch.tensor(impostor), torch.zeros(2, 0))


@given(PAIRS)
@settings(deadline=None, max_examples=80)
def test_a_roc_curve_has_the_rates_at_every_threshold(pairs: list[tuple[float, bool]]) -> None:
    far, tar = verification.roc(tally(pairs))
    assert list(zip(far.tolist(), tar.tolist(), strict=True)) == [tuple(map(float, point)) for point in points(pairs)]


@given(PAIRS)
@settings(deadline=None, max_examples=80)
def test_pair_metrics_are_those_of_brute_force(pairs: list[tuple[float, bool]]) -> None:
    metrics = verification.pair_metrics(tally(pairs))
    curve = points(pairs)
    genuine, impostor = ([score for score, same in pairs if same is kind] for kind in (True, False))
    wins = sum((a > b) + (a == b) / 2 for a in genuine for b in impostor)
    expected = {"num_genuine": len(genuine), "num_impostor": len(impostor), "auc": wins / len(genuine) / len(impostor)}
    for name, limit in (("tar_at_1e-2", Fraction(1, 100)), ("tar_at_1e-3", Fraction(1, 1000))):
        expected[name] = float(max(tar for far, tar in curve if far <= limit))
    crossings = set()
    for (far, tar), (next_far, next_tar) in pairwise(curve):
        # far + w * (next_far - far) = 1 - tar - w * (next_tar - tar) at w in 0 ... 1
        weight = (1 - tar - far) / (next_far - far + next_tar - tar)
        if 0 <= weight <= 1:
            crossings.add(far + weight * (next_far - far))
    (expected["eer"],) = map(float, crossings)
    assert metrics == pytest.approx(expected, abs=1e-12)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@given(PAIRS)
@settings(deadline=None)
def test_pairs_given_one_by_one_are_tallied(pairs: list[tuple[float, bool]]) -> None:
    scores, same = torch.tensor([score for score, _ in pairs]), torch.tensor([kind for _, kind in pairs])
    tallied, expected = (
        verification.tally(scores, same),
        tally([(score, kind) for score, kind in zip(scores.tolist(), same.tolist(), strict=True)]),
    )
    assert tallied.genuine.tolist() == expected.genuine.tolist() and tallied.impostor.tolist() == expected.impostor.tolist()
    assert tallied.bins.sum(1).tolist() == [int(same.sum()), int((~same).sum())]


@given(st.lists(st.tuples(SMALL, SMALL), min_size=1, max_size=9))
@settings(deadline=None)
def test_a_pairs_score_is_its_cosine(pairs: list[tuple[list[int], list[int]]]) -> None:
    left, right = (torch.tensor(side, dtype=torch.float32) for side in zip(*pairs, strict=True))
    found = verification.cosines(left, right)
    assert found.dtype == torch.float32
    for score, (one, other) in zip(found.tolist(), pairs, strict=True):
        square = signed_square(one, other)
        assert score == pytest.approx(math.copysign(math.sqrt(abs(square)), square), abs=1e-7)


def test_a_false_accept_rate_that_is_just_reached_counts() -> None:
    impostors = [(0.5 if index < 3 else 0.0, False) for index in range(300)]
    far, tar = verification.roc(tally([(0.9, True), (0.5, True), (0.2, True), (0.0, True), *impostors]))
    assert verification.tar_at_far(far, tar, 0.01) == 0.75
    assert verification.tar_at_far(far, tar, 0.0099) == 0.25


@pytest.mark.parametrize("kind", [True, False])
def test_without_pairs_of_both_kinds_there_are_only_counts(kind: bool) -> None:
    assert verification.pair_metrics(tally([(0.5, kind)] * 3)) == {
        "num_genuine": 3 * kind,
        "num_impostor": 3 * (not kind),
    }
