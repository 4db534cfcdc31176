"""The contract's checks, for any ``GenerativeModel``.

Each is a function of the model's class, a ``DataSpec`` and overrides of the ``Config``'s defaults.
It raises ``AssertionError`` with what is wrong, or ``NotApplicable`` where it does not apply; what
it returns, if anything, describes what it left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.checks.averaging import check_average
from harness.checks.condition import check_condition
from harness.checks.coverage import check_coverage
from harness.checks.evaluations import check_evaluations
from harness.checks.exact import check_frequencies
from harness.checks.latent import check_latent_round_trip
from harness.checks.period import check_period
from harness.checks.probability import check_entropy, check_total_probability
from harness.checks.progress import check_progress
from harness.checks.resemblance import check_resemblance
from harness.checks.sampling import check_batch_independence, check_samples
from harness.checks.seeds import check_seeds
from harness.checks.sizes import check_sizes
from harness.checks.subject import NotApplicable
from harness.checks.training import (
    check_bitwise_resume,
    check_config,
    check_overfits,
    check_training_step,
)
from harness.checks.types import check_types
from harness.checks.updates import check_memory, check_updates
from harness.contract import (
    DataSpec,
    GenerativeModel,
    HasEncoder,
    HasLatent,
    HasLikelihood,
)

Function = Callable[[type[GenerativeModel], DataSpec, Mapping[str, Any]], "str | None"]

__all__ = [
    "Check",
    "NotApplicable",
    "check_average",
    "check_batch_independence",
    "check_bitwise_resume",
    "check_condition",
    "check_config",
    "check_coverage",
    "check_entropy",
    "check_evaluations",
    "check_frequencies",
    "check_latent_round_trip",
    "check_memory",
    "check_overfits",
    "check_period",
    "check_progress",
    "check_resemblance",
    "check_samples",
    "check_seeds",
    "check_sizes",
    "check_total_probability",
    "check_training_step",
    "check_types",
    "check_updates",
    "checks_for",
]

Applies = Callable[[type[GenerativeModel]], bool]


def _having(*capabilities: type) -> Applies:
    return lambda model_class: all(issubclass(model_class, each) for each in capabilities)


def _takes_a_condition(model_class: type[GenerativeModel]) -> bool:
    return bool(model_class.takes)


# Where to fix a failure, and whether there is anything to check of a class.
_CHECKS: tuple[tuple[Function, str, Applies], ...] = (
    (check_config, "Config", _having()),
    (check_types, "", _having()),
    (check_samples, "sample", _having()),
    (check_training_step, "training_step", _having()),
    (check_updates, "training_step", _having()),
    (check_period, "__init__", _having()),
    (check_progress, "training_step", _having()),
    (check_seeds, "training_step", _having()),
    (check_memory, "training_step", _having()),
    (check_bitwise_resume, "training_step", _having()),
    (check_average, "training_step", _having()),
    (check_sizes, "__init__", _having()),
    (check_evaluations, "sample", _having()),
    (check_batch_independence, "sample", _having()),
    (check_latent_round_trip, "encode", _having(HasEncoder, HasLatent)),
    (check_total_probability, "log_likelihood", _having(HasLikelihood)),
    (check_entropy, "log_likelihood", _having(HasLikelihood)),
    (check_frequencies, "sample", _having(HasLikelihood)),
    (check_coverage, "log_likelihood", _having(HasLikelihood)),
    (check_overfits, "training_step", _having()),
    (check_resemblance, "sample", _having()),
    (check_condition, "", _takes_a_condition),
)


@dataclass(frozen=True)
class Check:
    """One check of one model.

    Attributes:
        name: short name for a table and a test id.
        reason: what it checks, in one line.
        function: the check itself.
        model_class: the model.
        attribute: the attribute of the model that a failure most likely comes from.
    """

    name: str
    reason: str
    function: Function
    model_class: type[GenerativeModel]
    attribute: str

    def run(self, spec: DataSpec, **overrides: Any) -> str:
        """Run the check on ``spec``; return what was left out, "" if nothing.

        Raises:
            AssertionError: the model fails it.
            NotApplicable: the check does not apply.
        """
        return self.function(self.model_class, spec, overrides) or ""


def checks_for(model_class: type[GenerativeModel]) -> list[Check]:
    """Return the checks that apply to a model, by its capabilities."""
    return [
        Check(
            name=function.__name__.removeprefix("check_"),
            reason=(function.__doc__ or "").partition("\n")[0].replace("``", "`"),
            function=function,
            model_class=model_class,
            attribute=attribute,
        )
        for function, attribute, applies in _CHECKS
        if applies(model_class)
    ]
