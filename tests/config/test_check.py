"""Plain values become dataclasses, or one sentence says which key is wrong."""

import math
from dataclasses import dataclass, field
from datetime import date
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.config import check
from stages.config.check import Rule, build
from stages.config.schema import SGD, Adam, AdamW, CosineRestarts, OneCycle, Optimizer, Plateau, Schedule
from stages.core.errors import InputError


@dataclass(frozen=True)
class Leaf:
    size: check.PositiveInt
    p: Annotated[float, check.Share] = 1.0


@dataclass(frozen=True)
class Tree:
    leaf: Leaf
    more: list[Leaf] = field(default_factory=list)
    by_name: dict[str, Leaf] = field(default_factory=dict)
    note: str | None = None
    computed: int = field(default=0, metadata={"yaml": False})


def problem(kind: Any, value: Any, where: str = "runs.x") -> str:
    with pytest.raises(InputError) as caught:
        build(kind, value, where)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Any, {"anything": [1]}, {"anything": [1]}),
        (int, 3, 3),
        (float, 3, 3.0),
        (Literal["a", "b"], "b", "b"),
        (str | None, None, None),
        (float | Literal["find"], "find", "find"),
        (float | Literal["find"], 1, 1.0),
        (str | list[str], ["a", "b"], ["a", "b"]),
        (Annotated[float, check.BelowOne] | None, None, None),
        (Leaf, {"size": 2}, Leaf(2, 1.0)),
        (Leaf | None, {"size": 2, "p": 0}, Leaf(2, 0.0)),
        (Tree, {"leaf": {"size": 1}, "more": [{"size": 2}]}, Tree(Leaf(1), [Leaf(2)])),
        (Tree, {"leaf": {"size": 1}, "by_name": {"a": {"size": 2}}}, Tree(Leaf(1), by_name={"a": Leaf(2)})),
    ],
)
def test_a_value_that_fits_its_annotation_is_built(kind: Any, value: Any, expected: Any) -> None:
    built = build(kind, value, "x")
    assert built == expected
    assert type(built) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (int, 1.0, "runs.x: must be a whole number, but is 1.0"),
        (float, "1", "runs.x: must be a number, but is '1'"),
        (str, 1, "runs.x: must be text, but is 1"),
        (bool, 1, "runs.x: must be true or false, but is 1"),
        (list[int], {"a": 1}, "runs.x: must be a list, but is {'a': 1}"),
        (list[int], [1, "b"], "runs.x[1]: must be a whole number, but is 'b'"),
        (dict[str, int], {"a": None}, "runs.x.a: must be a whole number, but is None"),
        (Leaf, 5, "runs.x: must be a block of keys, but is 5"),
        (Tree, {"leaf": {"size": 1}, "more": [{"size": 2}, {"size": 0}]}, "runs.x.more[1].size: must be greater than 0"),
        (check.PositiveFloat | Literal["find"], -1, "runs.x: must be greater than 0, but is -1"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_path(kind: Any, value: Any, words: str) -> None:
    assert problem(kind, value).startswith(words)


@pytest.mark.parametrize("kind", [int, float, str, Literal["find"], check.PositiveFloat])
def test_true_and_false_are_not_numbers(kind: Any) -> None:
    assert "True" in problem(kind, True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400], ids=["nan", "inf", "-inf", "10**400"])
def test_a_number_that_no_float_holds_is_refused(value: float) -> None:
    assert problem(float, value).startswith("runs.x: must be finite")
    assert problem(Optimizer, {"name": "adam", "lr": value}).startswith("runs.x.lr: must be finite")


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        (check.Positive, [1e-300, 1, 1e9], [0, -1e-300]),
        (check.NotNegative, [0, 5], [-1, -1e-300]),
        (check.Share, [0, 0.5, 1], [-0.1, 1.0001]),
        (check.BelowOne, [0, 0.999], [1, -0.1]),
        (check.InsideUnit, [0.001, 0.999], [0, 1]),
    ],
)
def test_ranges_hold_up_to_their_ends(rule: Rule, inside: list[float], outside: list[float]) -> None:
    for value in inside:
        assert build(Annotated[float, rule], value, "x") == value
    for value in outside:
        assert problem(Annotated[float, rule], value) == f"runs.x: {rule.words}, but is {value!r}"


def test_a_key_like_no_other_lists_all() -> None:
    assert problem(Leaf, {"size": 1, "zzz": 1}) == "runs.x.zzz: unknown key; known: p, size"


@pytest.mark.parametrize("key", [1, None, ("a", "b"), date(2024, 1, 1)])
def test_a_key_that_is_not_text_is_refused(key: Any) -> None:
    assert problem(Leaf, {"size": 1, key: 1}).startswith(f"runs.x.{key}: ")


def test_a_field_that_is_no_key_of_the_file_cannot_be_set() -> None:
    assert problem(Tree, {"leaf": {"size": 1}, "computed": 1}).startswith("runs.x.computed: unknown key")


def test_at_the_top_a_path_has_no_leading_dot() -> None:
    with pytest.raises(InputError, match=r"^leaf\.size: must"):
        build(Tree, {"leaf": {"size": "1"}}, "")


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"name": "one_cycle", "peak_epoch": 5}, OneCycle("one_cycle", 5.0, 0.04, 0.04)),
        ({"name": "cosine_restarts", "t_0": 3}, CosineRestarts("cosine_restarts", 3, 1)),
        ({"name": "plateau", "patience": 0}, Plateau("plateau", 0.5, 0)),
    ],
)
def test_blocks_of_a_union_are_told_apart_by_name(block: dict[str, Any], expected: Any) -> None:
    assert build(Schedule, block, "x") == expected


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"t_0": 3}, "runs.x.name: "),
        ({"name": ["cosine"]}, "runs.x.name: ['cosine'] is not a choice here"),
        ({"name": "cosine", "t_0": 3}, "runs.x.t_0: unknown key; known: name, warmup_epochs"),
        ({"name": "one_cycle"}, "runs.x.peak_epoch: missing"),
        ("cosine", "runs.x: must be a block of keys, but is 'cosine'"),
    ],
)
def test_a_union_says_what_is_wrong_with_the_block_of_that_name(block: Any, words: str) -> None:
    assert problem(Schedule, block).startswith(words)


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"name": "sgd", "lr": 1, "nesterov": True}, SGD("sgd", 0.9, True, lr=1.0)),
        ({"name": "adam", "lr": "find", "betas": [0.8, 0.99]}, Adam("adam", (0.8, 0.99), lr="find")),
        ({"name": "adamw", "lr": 1, "decay_norms_and_biases": False}, AdamW("adamw", lr=1.0, decay_norms_and_biases=False)),
    ],
)
def test_an_optimizer_has_its_own_options(block: dict[str, Any], expected: Any) -> None:
    assert build(Optimizer, block, "x") == expected


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"name": "adam", "lr": 1, "nesterov": True}, "runs.x.nesterov: unknown key; known: betas"),
        ({"name": "sgd", "lr": 1, "betas": [0.9, 0.99]}, "runs.x.betas: unknown key"),
        ({"name": "sgd", "lr": 1, "momentum": 0, "nesterov": True}, "runs.x.nesterov: needs a momentum above 0"),
        ({"name": "adam", "lr": 1, "betas": 0.9}, "runs.x.betas: must be a list of 2, but is 0.9"),
        ({"name": "adam", "lr": 1, "betas": [0.9, 1]}, "runs.x.betas[1]: must be at least 0 and below 1, but is 1"),
    ],
)
def test_an_option_that_an_optimizer_would_ignore_is_refused(block: dict[str, Any], words: str) -> None:
    assert problem(Optimizer, block).startswith(words)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.dates(),
    st.sampled_from(["adam", "sgd", "find", "cosine", "one_cycle", "plateau", 0.1, 1e-3, 3, 10**400, -(10**400)]),
)
KEYS = st.one_of(
    st.sampled_from(["name", "lr", "weight_decay", "momentum", "betas", "nesterov", "peak_epoch", "patience", "learning"]),
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.tuples(st.text(max_size=2)),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5), max_leaves=10
)
# Arbitrary values are nearly always refused at once, so half of the blocks differ from a good one in a few keys.
BLOCKS = st.builds(lambda changes: {"name": "adam", "lr": 0.1} | changes, st.dictionaries(KEYS, VALUES, max_size=3))


@settings(max_examples=50, deadline=None)
@given(VALUES | BLOCKS)
@example({"name": "adam", "lr": 1})
def test_any_value_gives_an_optimizer_or_an_input_error(value: Any) -> None:
    try:
        built = build(Optimizer, value, "optimizer")
    except InputError as error:
        assert str(error).startswith("optimizer")
    else:
        assert isinstance(built, Optimizer)
        assert built.lr == "find" or (type(built.lr) is float and 0 < built.lr < math.inf)
        assert type(built.weight_decay) is float and 0 <= built.weight_decay < math.inf
        assert type(built.decay_norms_and_biases) is bool
        factors = (built.momentum,) if isinstance(built, SGD) else built.betas
        assert all(type(factor) is float and 0 <= factor < 1 for factor in factors)


@settings(max_examples=50, deadline=None)
@given(VALUES | BLOCKS)
def test_any_value_gives_a_schedule_or_an_input_error(value: Any) -> None:
    try:
        assert isinstance(build(Schedule, value, "schedule"), Schedule)
    except InputError as error:
        assert str(error).startswith("schedule")
