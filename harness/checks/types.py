"""Check of types: a model's attributes and what its methods return, before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.checks.subject import build, held_to_contract, noise_batch, seeded
from harness.contract import DataSpec, GenerativeModel
from harness.measurement.rehearsal import FEW, dry_run
from harness.measurement.sampling import Sampler
from harness.plugins.contract_validation import (
    validate_class,
    validate_model,
    validated_losses,
)


def check_types(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> None:
    """Attributes, and what every method returns, have the types of the contract."""
    with held_to_contract():
        validate_class(model_class)
        model = build(model_class, spec, overrides)
        validate_model(model, spec, model.config)
        batch = noise_batch(spec, max(FEW, model.config.batch_size))
        sampler = Sampler(model, seed=0, batch_size=FEW, precision="fp32", conditions=batch.y)
        with seeded(0):
            validated_losses(model.training_step(batch, 0.0))
            dry_run(sampler, batch, lambda: None)
