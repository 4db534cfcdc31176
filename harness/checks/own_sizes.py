"""Small data that a check chooses by itself, and what a model's refusal of them means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from harness.checks.own_data import describe_spec
from harness.checks.subject import NotApplicable, build, log_likelihood, noise_batch, seeded
from harness.contract import DataSpec, GenerativeModel, HasLikelihood


def scorable(
    model_class: type[GenerativeModel],
    spec: DataSpec,
    overrides: Mapping[str, Any],
    candidates: Iterable[DataSpec],
) -> tuple[DataSpec, str]:
    """Return the first of ``candidates`` on which the model learns and scores, and the kind.

    The check chooses these sizes, and the contract requires none below 1x8x8. So an error on them
    counts as a failure only if the model raises it on ``spec`` too.

    Raises:
        NotApplicable: no size works, or there is no likelihood; the message lists every reason.
    """
    if model_class.is_conditional(spec) and not spec.paired:
        raise NotApplicable("x and y of unpaired data are independent draws: no p(x | y) is learnt")
    reasons: dict[str, str] = {}
    for candidate in candidates:
        try:
            return candidate, _kind(model_class, candidate, overrides)
        except NotApplicable as reason:
            message = str(reason)
        except Exception as error:
            _kind(model_class, spec, overrides)
            message = f"{type(error).__name__}: {error}".strip(": ")
        reasons.setdefault(message, describe_spec(candidate))
    why = "; ".join(f"{size}: {reason}" for reason, size in reasons.items())
    raise NotApplicable(f"the model does not run on the small data of this check ({why})")


def _kind(model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]) -> str:
    """Take a step, score two examples and return the kind of their likelihood."""
    model = build(model_class, spec, overrides)
    if not isinstance(model, HasLikelihood):
        raise NotApplicable("no likelihood")
    with seeded(0):
        model.training_step(noise_batch(spec, 8), 0.0)
        with torch.no_grad():
            return log_likelihood(model.eval(), noise_batch(spec, 2)).kind
