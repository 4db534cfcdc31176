"""Checks of learning: settings, one period of steps, exact resume, and eight examples by heart."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from harness.checks.subject import (
    build,
    conditions_for,
    differences,
    log_likelihood,
    noise_batch,
    seeded,
    spot_batch,
    stage_midpoints,
    state,
    train,
)
from harness.contract import Batch, DataSpec, GenerativeModel, HasLikelihood

ROUNDS = (50, 200, 800)
SAMPLES = 64


def check_config(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """``Config`` is a frozen dataclass with ``batch_size``, defaults, and help on every field."""
    name = model_class.__name__
    config: Any = getattr(model_class, "Config", None)
    is_dataclass = isinstance(config, type) and dataclasses.is_dataclass(config)
    assert is_dataclass, f"{name}.Config must be a dataclass, not {config!r}"
    parameters = getattr(config, "__dataclass_params__", None)
    assert parameters and parameters.frozen, f"{name}.Config must be dataclass(frozen=True)"
    fields = dataclasses.fields(config)
    assert any(field.name == "batch_size" for field in fields), f"{name}.Config needs a batch_size"
    for field in fields:
        has_default = field.default is not dataclasses.MISSING
        assert has_default, f"{name}.Config.{field.name} needs a default, its recipe's value"
        help_ = field.metadata.get("help")
        assert help_, f'{name}.Config.{field.name} needs help: setting(default, "one line of help")'


def check_training_step(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """One period of every stage gives finite scalars, leaves the batch alone and moves weights."""
    model = build(model_class, spec, overrides)
    assert model.optimizers, "optimizers is empty: build them in __init__, by name"
    before = {name: _snapshot(model, name) for name in model.optimizers}
    batch = noise_batch(spec, 8)
    kept = [None if part is None else part.clone() for part in batch]
    shares = sum(fraction for _, fraction in model.stages)
    assert math.isclose(shares, 1, abs_tol=1e-6), f"fractions of stages sum to {shares:g}, not to 1"
    # In the middle of stages, past any warm-up.
    for step, progress in enumerate(p for p in stage_midpoints(model) for _ in range(model.period)):
        with seeded(step):
            losses = model.training_step(batch, progress)
        _check_losses(losses)
        for name, now, then in zip(("x", "y"), batch, kept, strict=True):
            assert not differences(now, then), f"training_step changed {name} of its batch"
    _check_owners(model)
    for name, parameters in before.items():
        moved = any(not torch.equal(*pair) for pair in parameters)
        assert moved, (
            f'optimizer "{name}" moved no parameter over a period of every stage (period = '
            f"{model.period}); if it takes turns with others, set `period`"
        )


def _snapshot(model: GenerativeModel, optimizer: str) -> list[tuple[Tensor, Tensor]]:
    groups = model.optimizers[optimizer].param_groups
    return [(p, p.detach().clone()) for group in groups for p in group["params"]]


def _check_owners(model: GenerativeModel) -> None:
    groups = [group for o in model.optimizers.values() for group in o.param_groups]
    owned = {id(p) for group in groups for p in group["params"]}
    idle = [n for n, p in model.named_parameters() if p.grad is not None and id(p) not in owned]
    assert not idle, (
        f"gradients reach {', '.join(idle[:3])} ({len(idle)} in all), which no optimizer moves: "
        "give them to one, or call requires_grad_(False)"
    )


def _check_losses(losses: dict[str, Tensor]) -> None:
    assert losses, "training_step returned no loss"
    for name, loss in losses.items():
        assert isinstance(loss, Tensor), f'loss "{name}" is a {type(loss).__name__}, not a tensor'
        assert loss.ndim == 0, f'loss "{name}" has shape {tuple(loss.shape)}; it must be a scalar'
        assert torch.isfinite(loss), f'loss "{name}" is {loss.item()} on the first steps'


def check_bitwise_resume(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Save, load into a new instance, continue: bit for bit the uninterrupted run."""
    straight = build(model_class, spec, overrides)
    batch = noise_batch(spec, 8)
    # Not a multiple of the period, so that a counter left out of the state shows.
    half, total = straight.period + 1, 2 * straight.period + 2
    train(straight, batch, range(half), total)
    checkpoint = io.BytesIO()
    torch.save(state(straight), checkpoint)
    train(straight, batch, range(half, total), total)

    checkpoint.seek(0)
    try:
        loaded = torch.load(checkpoint, weights_only=True)
    except Exception as error:
        raise AssertionError(
            f"the state does not load with weights_only=True; keep it to tensors, numbers, "
            f"strings, lists and dicts: {error}"
        ) from error
    resumed = build(model_class, spec, overrides, seed=1)
    resumed.load_state_dict(loaded["model"])
    for name, optimizer in resumed.optimizers.items():
        optimizer.load_state_dict(loaded["optimizers"][name])
    train(resumed, batch, range(half, total), total)
    different = differences(state(straight), state(resumed))
    assert not different, (
        f"a resumed run differs from the uninterrupted one in {', '.join(different[:5])} "
        f"({len(different)} in all): some state is in no module, buffer, optimizer or extra state"
    )


def check_overfits(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Eight examples are learnt: their likelihood rises, or else samples come closer to them.

    Adversarial losses do not measure quality, so samples are judged where there is no likelihood.
    """
    figures = []
    for steps in ROUNDS:
        model = build(model_class, spec, overrides)
        spots = spot_batch(spec, 8)
        before = _misfit(model, spots)
        train(model, spots, range(steps), steps)
        after = _misfit(model, spots)
        figures.append(f"{after:.3f} after {steps}")
        if after < 0.8 * before:
            return
    what = "bits/dim" if isinstance(model, HasLikelihood) else "RMS distance to the nearest of them"
    raise AssertionError(
        f"training on eight examples does not learn them: {what} {before:.3f} before, "
        f"{', '.join(figures)} steps; it should fall by a fifth"
    )


@torch.no_grad()
def _misfit(model: GenerativeModel, batch: Batch) -> float:
    """Return bits/dim of a batch; without a likelihood, the RMS distance of samples to it."""
    model.eval()
    with seeded(2):
        if isinstance(model, HasLikelihood):
            nats = log_likelihood(model, batch).nats
            misfit = -nats.mean() / (model.spec.dimensions * math.log(2))
        else:
            scale = model.spec.levels - 1
            samples = (
                model.sample(SAMPLES, conditions_for(model, SAMPLES)).flatten(1).float() / scale
            )
            nearest = torch.cdist(samples, batch.x.flatten(1).float() / scale).amin(1)
            misfit = nearest.square().mean().div(model.spec.dimensions).sqrt()
    model.train()
    return float(misfit)
