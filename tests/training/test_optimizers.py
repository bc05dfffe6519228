"""Schedules against PyTorch's own, and the learning-rate suggestion on curves whose answer is known."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from stages.config import schema
from stages.config.schema import SGD, Adam, AdamW, Constant, Cosine, CosineRestarts, OneCycle, Plateau, RangeTest
from stages.training import optimizers, schedules
from stages.training.protocol import Score
from stages.tuning import range_test

STEPS, EPOCHS = 10, 24


def factors(schedule: schema.Schedule, steps: int = STEPS, epochs: int = EPOCHS) -> list[float]:
    return [schedules.lr_factor(schedule, step, steps, epochs) for step in range(steps * epochs)]


def reference(make: type, num: int, **settings: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer, **settings)
    rates = []
    for _ in range(num):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("peak_epoch", "div", "final_div"), [(5, 25.0, 1.0), (7.2, 10.0, 1000.0)])
def test_one_cycle_is_pytorchs(peak_epoch: float, div: float, final_div: float) -> None:
    ours = factors(OneCycle("one_cycle", peak_epoch, initial=1 / div, final=1 / div / final_div))
    theirs = reference(
        lr_scheduler.OneCycleLR,
        STEPS * EPOCHS - 1,
        max_lr=1.0,
        total_steps=STEPS * EPOCHS,
        pct_start=peak_epoch / EPOCHS,
        anneal_strategy="linear",  # type: ignore[arg-type]
        div_factor=div,
        final_div_factor=final_div,
    )
    np.testing.assert_allclose(ours[:-1], theirs, rtol=1e-9)
    assert ours[-1] == pytest.approx(1 / div / final_div)


@pytest.mark.parametrize(("t_0", "t_mult"), [(10, 2), (3, 1)])
def test_cosine_restarts_are_pytorchs(t_0: int, t_mult: int) -> None:
    ours = factors(CosineRestarts("cosine_restarts", t_0, t_mult), steps=1, epochs=60)
    theirs = reference(lr_scheduler.CosineAnnealingWarmRestarts, 60, T_0=t_0, T_mult=t_mult)
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_cosine_warms_up_and_falls_to_nearly_nothing() -> None:
    ours = np.array(factors(Cosine("cosine", warmup_epochs=2)))
    assert (np.diff(ours[: 2 * STEPS]) > 0).all() and (np.diff(ours[2 * STEPS :]) < 0).all()
    assert ours.max() == 1.0 and ours[-1] < 1e-3


@pytest.mark.parametrize(
    "schedule",
    [Constant("constant"), OneCycle("one_cycle", 0.2), Cosine("cosine", 1), CosineRestarts("cosine_restarts", 10)],
)
@pytest.mark.parametrize("size", [(1, 1), (3, 1)])
def test_the_shortest_runs_have_a_rate_too(schedule: schema.Schedule, size: tuple[int, int]) -> None:
    assert all(0 <= factor <= 1 for factor in factors(schedule, *size))


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_plateau_is_pytorchs(higher_is_better: bool) -> None:
    scores = np.random.default_rng(0).standard_normal(60).round(1).tolist()
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    mode = "max" if higher_is_better else "min"
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=2, threshold=0, eps=0)  # type: ignore[arg-type]
    improves, plateau = Score("score", higher_is_better).improves, Plateau("plateau", factor=0.5, patience=2)
    for number, score in enumerate(scores, start=1):
        scheduler.step(score)
        assert schedules.plateau_factor(plateau, scores[:number], improves) == optimizer.param_groups[0]["lr"]


def test_a_sweep_goes_from_start_to_end_in_equal_ratios() -> None:
    rates = [range_test.sweep_lr(RangeTest(steps=5, start=1e-4, end=1.0), step) for step in range(5)]
    np.testing.assert_allclose(rates, [1e-4, 1e-3, 1e-2, 1e-1, 1.0])


def suggest(rates: np.ndarray, losses: np.ndarray) -> range_test.Suggestion:
    return range_test.suggest_lr(rates.tolist(), losses.tolist())


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_the_suggestion_is_where_the_loss_falls_most_steeply(noise: float) -> None:
    rates = np.logspace(-6, 1, 200)
    losses = 2.3 - 1.5 / (1 + np.exp(-6 * (np.log10(rates) + 2))) + np.where(rates > 0.1, rates * 3, 0)
    found = suggest(rates, losses + noise * np.random.default_rng(0).standard_normal(200))
    assert found.lr == pytest.approx(0.01, rel=0.5) and found.first <= found.lr <= found.end
    assert found.decided == "the steepest descent" and not found.still_falls


@pytest.mark.parametrize("seed", range(5))
def test_where_the_loss_falls_evenly_noise_cannot_choose_a_rate_far_below_the_minimum(seed: int) -> None:
    rates = np.logspace(-5, 0, 100)
    losses = 3 - 0.45 * np.log10(rates / 1e-5) + 60 * np.maximum(rates - 0.02, 0)
    losses += 0.1 * np.random.default_rng(seed).standard_normal(100)
    assert 0.001 < suggest(rates, losses).lr < 0.02


def test_an_edge_of_the_span_is_told_where_it_decided() -> None:
    """The fall grows towards the minimum, or shrinks."""
    places, rates = np.arange(200), np.logspace(-6, 1, 200)
    rising = np.where(places > 150, 0.1 * (places - 150), 0)
    faster, slower = 3 - (places.clip(0, 150) / 150) ** 3, 3 - (places.clip(0, 150) / 150) ** 0.5
    assert suggest(rates, faster + rising).decided == "a third of the rate with the lowest loss"
    assert suggest(rates, slower + rising).decided == "a tenth of the rate with the lowest loss"


def test_a_plateau_is_not_searched() -> None:
    """Level over four decades, then lost within less than one: a tenth of the minimum's rate is still on the plateau."""
    rates = np.logspace(-6, 1, 200)
    losses = 2.3 - 1.5 * np.clip((np.log10(rates) + 2) / 0.6, 0, 1) + np.where(rates > 0.05, rates * 3, 0)
    losses += 0.01 * np.random.default_rng(0).standard_normal(200)
    found = suggest(rates, losses)
    assert 0.005 < found.first <= found.lr < 0.03
    assert rates[losses.argmin()] / 10 < found.first


def test_a_lower_loss_after_a_divergence_does_not_count() -> None:
    """Batch norm: the network breaks at 0.06 and recovers at 0.4, below its earlier minimum."""
    rates = np.logspace(-6, 1, 200)
    decades = np.log10(rates)
    losses = 3 - 0.35 * (decades + 6).clip(0, 4.3) + np.exp(-(((decades + 1.2) / 0.3) ** 2))
    losses += -0.3 * np.exp(-(((decades + 0.4) / 0.2) ** 2)) + np.where(rates > 1, rates, 0)
    assert rates[losses.argmin()] > 0.3
    assert 1e-3 < suggest(rates, losses).lr < 1e-2


def test_a_sudden_divergence_does_not_hide_the_lowest_losses_beside_it() -> None:
    rates = np.logspace(-6, 1, 200)
    losses = np.where(rates < 0.05, 3 - 0.35 * np.log10(rates / 1e-6), 6.0)
    assert suggest(rates, losses).end > 0.005  # a third of 0.015; the wider Gaussian gave 0.0037


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_has_no_suggestion(seed: int) -> None:
    losses = 2.3 + 0.2 * np.random.default_rng(seed).standard_normal(200)
    with pytest.raises(ValueError, match=r"the loss (fell by .*, but differs by 0\.\d+|never fell)"):
        suggest(np.logspace(-6, 1, 200), losses)


def test_a_loss_that_falls_to_the_end_is_told() -> None:
    rates = np.logspace(-6, -2, 200)
    found = suggest(rates, 3 - np.arange(200) / 200)
    assert found.still_falls and 1e-3 <= found.lr <= 1e-2 / 3


def test_a_loss_that_never_falls_has_no_suggestion() -> None:
    with pytest.raises(ValueError, match="never fell"):
        suggest(np.logspace(-6, 1, 50), np.linspace(1, 2, 50))
    with pytest.raises(ValueError, match="never fell"):
        range_test.suggest_lr([0.1], [1.0])
    with pytest.raises(ValueError, match="the first loss is not finite"):
        range_test.suggest_lr([], [])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (SGD("sgd", momentum=0.8, nesterov=True, lr=1.0, weight_decay=0.01), {"momentum": 0.8, "nesterov": True}),
        (Adam("adam", betas=(0.8, 0.99), eps=1e-6, lr=1.0, weight_decay=0.01), {"betas": (0.8, 0.99), "eps": 1e-6}),
        (AdamW("adamw", lr="find", weight_decay=0.01), {"betas": (0.9, 0.999), "eps": 1e-8}),
    ],
)
def test_optimizers_are_what_they_are_called(settings: schema.Optimizer, expected: dict[str, Any]) -> None:
    optimizer = optimizers.build_optimizer(settings, torch.nn.Linear(2, 2), 0.5)
    assert type(optimizer).__name__.lower() == settings.name
    [group] = optimizer.param_groups
    assert len(group["params"]) == 2
    assert {key: group[key] for key in expected} == expected and (group["lr"], group["weight_decay"]) == (0.5, 0.01)


def test_weight_decay_spares_norms_and_biases_where_asked() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Flatten(), torch.nn.Linear(4, 2))
    settings = AdamW("adamw", lr=0.1, weight_decay=0.5, decay_norms_and_biases=False)
    optimizer = optimizers.build_optimizer(settings, model, 0.1)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    optimizer.step()
    decayed = {name for name, weight in model.named_parameters() if not torch.equal(weight, before[name])}
    assert decayed == {"0.weight", "3.weight"}
