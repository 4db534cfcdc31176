"""The model to be timed: built as in a trial, and never trained."""

from __future__ import annotations

import torch

from harness.errors import UserError
from harness.machine.seeding import BUILD, reseed
from harness.measurement.sampling import Sampler
from harness.metrics.speed import synchronise
from harness.plugins.loading import load_config, load_dataset, load_model
from harness.plugins.registry import Registry

SEED = 0


def untrained_sampler(
    registry: Registry, model: str, dataset: str, device: torch.device
) -> Sampler:
    """Return the sampler of an untrained model with its recipe's settings.

    Args:
        registry: of models and data sets.
        model: its name.
        dataset: whose kind of x it makes; conditional models get the y of its test split.
        device: on which it runs.

    Raises:
        UserError: there is no such model or data set, or the model does not support the data set.
    """
    model_class = load_model(registry, model)
    data = load_dataset(registry, dataset)
    if reason := model_class.refuses(data.spec):
        raise UserError(f"{model} does not run on {dataset}: {reason}")
    reseed(device, SEED, BUILD)
    with device:
        built = model_class(data.spec, load_config(registry.model(model), model_class, {}, model))
    y = data.test.y
    return Sampler(
        built.to(device),
        seed=SEED,
        batch_size=1,
        precision="fp32",
        conditions=None if y is None else torch.from_numpy(y),
    )


def draw(sampler: Sampler, n: int) -> None:
    """Draw ``n`` images and wait for them: the function that is timed."""
    sampler.draw_batch(n, sampler.conditions(n))
    synchronise(sampler.device)


def parameters(sampler: Sampler) -> int:
    """Return the number of the model's parameters."""
    return sum(p.numel() for p in sampler.model.parameters())
