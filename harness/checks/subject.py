"""Shared by the checks: building a model, feeding it, and comparing its states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from harness.contract import (
    ArraySpec,
    Batch,
    DataSpec,
    GenerativeModel,
    HasLikelihood,
    LogLikelihood,
)
from harness.machine.seeding import derive
from harness.plugins.contract_validation import ContractBroken

Module = TypeVar("Module", bound=nn.Module)

CONDITIONS = 10
"""Conditions that a model is given, where they are no labels."""


class NotApplicable(Exception):
    """A check does not apply to this model; the message is the reason."""


@contextmanager
def held_to_contract() -> Iterator[None]:
    """Fail the check with what the block finds to be against the contract."""
    try:
        yield
    except ContractBroken as broken:
        raise AssertionError(str(broken)) from None


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generator inside the block, and put it back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def build(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any], seed: int = 0
) -> GenerativeModel:
    """Build a model in training mode; raises ``NotApplicable`` if it does not support ``spec``."""
    if reason := model_class.refuses(spec):
        raise NotApplicable(reason)
    with seeded(seed):
        return model_class(spec, model_class.Config(**overrides)).train()


def noise_batch(spec: DataSpec, n: int, seed: int = 0) -> Batch:
    """Return ``n`` examples of independent uniform values, with y where the data has it."""
    generator = torch.Generator().manual_seed(seed)
    x = _noise(spec.x, n, generator)
    return Batch(x, None if spec.y is None else _noise(spec.y, n, generator))


def _noise(array: ArraySpec, n: int, generator: torch.Generator) -> Tensor:
    dtype = torch.int64 if array.kind == "label" else torch.uint8
    return torch.randint(array.levels, (n, *array.shape), generator=generator, dtype=dtype)


def spot_batch(spec: DataSpec, n: int) -> Batch:
    """Return ``n`` dark examples, each with a bright square of a quarter of the area somewhere.

    Of a sound or a text, which have a length alone, half of it is bright.
    """
    channels, height, width = spec.x.planes
    x = torch.zeros(n, channels, height, width, dtype=torch.uint8)
    h, w = max(height // 2, 1), max(width // 2, 1)
    for i, plane in enumerate(x):
        top, left = (i * 3) % (height - h + 1), (i * 5) % (width - w + 1)
        plane[:, top : top + h, left : left + w] = spec.levels - 1
    return Batch(x.view(n, *spec.shape), conditions(spec, n))


def train(
    model: GenerativeModel, batch: Batch, steps: range, total: int, seed: int = 0
) -> dict[str, Tensor]:
    """Take ``steps`` of ``total``, each reseeded from (seed, step); return the last losses."""
    losses: dict[str, Tensor] = {}
    for step in steps:
        with seeded(derive(seed, step)):
            losses = model.training_step(batch, step / total)
    return losses


def stage_midpoints(model: GenerativeModel) -> list[float]:
    """Return ``progress`` in the middle of every stage, past any warm-up."""
    stage_midpoints, start = [], 0.0
    for _, fraction in model.stages:
        stage_midpoints.append(start + fraction / 2)
        start += fraction
    return stage_midpoints


def conditions(spec: DataSpec, n: int, first: int = 0) -> Tensor | None:
    """Return ``n`` conditions, number ``first`` and on; None where the data has none.

    Labels count up, from 0 again after the last. Of another kind there are ``CONDITIONS``, each of
    random values, which come again likewise.
    """
    if (y := spec.y) is None:
        return None
    numbers = (torch.arange(n) + first) % number_of_conditions(spec)
    if y.kind == "label":
        return numbers
    return _noise(y, CONDITIONS, torch.Generator().manual_seed(0))[numbers]


def number_of_conditions(spec: DataSpec) -> int:
    """Return how many ``conditions`` there are before the first comes again."""
    return spec.classes or CONDITIONS


def conditions_for(model: GenerativeModel, n: int, first: int = 0) -> Tensor | None:
    """Return ``n`` conditions, number ``first`` and on; None for an unconditional model."""
    return model.condition(conditions(model.spec, n, first))


def condition_for(model: GenerativeModel, n: int, number: int) -> Tensor | None:
    """Return ``n`` times the condition ``number``; None for an unconditional model."""
    y = conditions_for(model, 1, number)
    return None if y is None else y.expand(n, *y.shape[1:]).contiguous()


def log_likelihood(model: GenerativeModel, batch: Batch) -> LogLikelihood:
    """Score a batch, given its y where the model is conditional on it."""
    assert isinstance(model, HasLikelihood)
    return model.log_likelihood(batch.x, model.condition(batch.y))


def draw(model: GenerativeModel, n: int, seed: int = 0, first: int = 0) -> Tensor:
    """Sample ``n`` examples from one seed, without gradients, of conditions ``first`` and on."""
    return draw_from(model, conditions_for(model, n, first), n, seed)


def draw_from(model: GenerativeModel, y: Tensor | None, n: int, seed: int = 0) -> Tensor:
    """Sample ``n`` examples given y from one seed, without gradients."""
    with seeded(seed), torch.no_grad():
        # A copy: a model may reuse the same memory at its next call.
        return model.sample(n, y).clone()


def all_images(spec: DataSpec) -> Tensor:
    """Return each of the levels^D values of x once, uint8 (levels^D, *x.shape), in raster order."""
    values = torch.arange(spec.levels, dtype=torch.uint8)
    return torch.cartesian_prod(*[values] * spec.dimensions).view(-1, *spec.shape)


def perturb(module: Module, scale: float = 0.05) -> Module:
    """Add N(0, scale^2) to every parameter, so that zero-initialised layers have an effect."""
    with seeded(1), torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=scale)
    return module


def state(model: GenerativeModel) -> dict[str, Any]:
    """Return all that a checkpoint holds of a model: its own state and its optimizers'."""
    optimizers = {name: optimizer.state_dict() for name, optimizer in model.optimizers.items()}
    return {"model": model.state_dict(), "optimizers": optimizers}


def differences(a: Any, b: Any, path: str = "") -> list[str]:
    """Return where two trees of tensors and plain values differ; tensors compare bit by bit."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return [] if a.dtype == b.dtype and _same_bits(a, b) else [path]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = [*a, *(key for key in b if key not in a)]
        missing = object()
        pairs = ((key, a.get(key, missing), b.get(key, missing)) for key in keys)
        return [d for key, x, y in pairs for d in differences(x, y, f"{path}.{key}".lstrip("."))]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        pairs = ((i, x, y) for i, (x, y) in enumerate(zip(a, b, strict=True)))
        return [d for i, x, y in pairs for d in differences(x, y, f"{path}[{i}]")]
    return [] if type(a) is type(b) and a == b else [path]


def _same_bits(a: Tensor, b: Tensor) -> bool:
    return torch.equal(a.nan_to_num(), b.nan_to_num()) and torch.equal(a.isnan(), b.isnan())
