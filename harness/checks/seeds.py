"""The check that all randomness follows from the harness's seeds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from harness.checks.subject import (
    build,
    conditions_for,
    differences,
    noise_batch,
    perturb,
    seeded,
    stage_midpoints,
    state,
    train,
)
from harness.contract import Batch, DataSpec, GenerativeModel
from harness.machine.seeding import derive

OWN_SEED = "seeds torch's generator itself: only the harness does, from (seed, step)"


class History(NamedTuple):
    """State after a few steps: a checkpoint's content, the losses, torch's generator."""

    state: dict[str, Any]
    losses: dict[str, Tensor]
    generator: Tensor


def check_seeds(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Equal seeds give equal steps, whatever other generators hold; no noise is reused."""
    model = build(model_class, spec, overrides)
    batch = noise_batch(spec, 8)
    conditions = None if batch.y is None else batch.y.roll(1, 0)
    rolled = Batch(batch.x.roll(1, 0), conditions)
    for progress in stage_midpoints(model):

        def history(
            seed: int, foreign: int = 0, batch: Batch = batch, progress: float = progress
        ) -> History:
            with _foreign_generators(foreign):
                return _history(build(model_class, spec, overrides), batch, progress, seed)

        first, again, other = history(0), history(0, foreign=1), history(1)
        if different := differences(first._asdict(), again._asdict()):
            same = not differences(first._asdict(), history(0)._asdict())
            cause = "Python's random or numpy" if same else "an own generator, a clock or a global"
            raise AssertionError(
                f"two steps from one seed differ in {', '.join(different[:3])}: something is drawn "
                f"from {cause}, not from torch's global generator, which the harness seeds"
            )
        assert not torch.equal(first.generator, other.generator), f"training_step {OWN_SEED}"
        if not differences(first.losses, other.losses):
            _compare_orders(first.losses, history(0, batch=rolled).losses)
    _check_draws(model)


def _history(model: GenerativeModel, batch: Batch, progress: float, seed: int) -> History:
    losses: dict[str, Tensor] = {}
    generator = torch.empty(0)
    for step in range(model.period):
        with seeded(derive(seed, step)):
            losses = losses | model.training_step(batch, progress)
            generator = torch.get_rng_state()
    return History(state(model), {k: v.detach().clone() for k, v in losses.items()}, generator)


def _compare_orders(losses: dict[str, Tensor], rolled: dict[str, Tensor]) -> None:
    """Without noise a batch is a set: its order matters only if each row has its own noise."""
    for name, loss in losses.items():
        assert torch.allclose(loss, rolled[name], rtol=1e-3, atol=1e-5), (
            f'loss "{name}" depends on no seed, yet on the order of the examples in the batch '
            f"({float(loss):.5g}, and {float(rolled[name]):.5g} in another order): noise is drawn "
            "once and kept, or from a generator of the model's own; draw it anew in each step"
        )


def _check_draws(model: GenerativeModel) -> None:
    """Samples of two seeds may be equal only by collapse: sampling must use random numbers."""
    train(model, noise_batch(model.spec, 8), range(model.period), model.period)
    perturb(model)
    model.eval()
    samples, ends = [], []
    for seed in range(2):
        with seeded(seed), torch.no_grad():
            start = torch.get_rng_state()
            samples.append(model.sample(4, conditions_for(model, 4)))
            ends.append(torch.get_rng_state())
    assert not torch.equal(*ends), f"sample {OWN_SEED}"
    assert not torch.equal(start, ends[-1]) or not torch.equal(*samples), (
        "sample draws no random number, so every batch of samples is the same: noise is kept "
        "that should be drawn anew in each call"
    )


@contextmanager
def _foreign_generators(seed: int) -> Iterator[None]:
    """Seed Python's and numpy's global generators inside the block, and put them back."""
    of_python, of_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)
