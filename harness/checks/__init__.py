"""The contract's checks, for any ``GenerativeModel``.

Each is a function of the model's class, a ``DataSpec`` and overrides of the ``Config``'s defaults.
It raises ``AssertionError`` with what is wrong, or ``NotApplicable`` where it has nothing to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.checks.probability import check_total_probability
from harness.checks.sampling import check_batch_independence, check_samples
from harness.checks.subject import NotApplicable
from harness.checks.training import (
    check_bitwise_resume,
    check_config,
    check_overfits,
    check_training_step,
)
from harness.contract import DataSpec, GenerativeModel, HasLikelihood

__all__ = [
    "Check",
    "NotApplicable",
    "check_batch_independence",
    "check_bitwise_resume",
    "check_config",
    "check_overfits",
    "check_samples",
    "check_total_probability",
    "check_training_step",
    "checks_for",
]


@dataclass(frozen=True)
class Check:
    """One check of one model.

    Attributes:
        name: short, for a table and a test's id.
        reason: what it holds the model to, one line.
        function: the check itself.
        model_class: the model.
    """

    name: str
    reason: str
    function: Callable[[type[GenerativeModel], DataSpec, Mapping[str, Any]], None]
    model_class: type[GenerativeModel]

    def run(self, spec: DataSpec, **overrides: Any) -> None:
        """Hold the model to it on ``spec``; raises ``AssertionError`` or ``NotApplicable``."""
        self.function(self.model_class, spec, overrides)


def checks_for(model_class: type[GenerativeModel]) -> list[Check]:
    """Return the checks that apply to a model, by what it can do."""
    functions = [
        check_config,
        check_samples,
        check_training_step,
        check_bitwise_resume,
        check_batch_independence,
        check_overfits,
    ]
    if issubclass(model_class, HasLikelihood):
        functions.append(check_total_probability)
    return [
        Check(
            name=function.__name__.removeprefix("check_"),
            reason=(function.__doc__ or "").partition("\n")[0],
            function=function,
            model_class=model_class,
        )
        for function in functions
    ]
