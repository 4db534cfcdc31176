"""Description of a model from its class: its capabilities and hyper-parameters."""

from __future__ import annotations

import inspect
from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args

from harness.contract import (
    GenerativeModel,
    HasEncoder,
    HasLatent,
    HasLikelihood,
    HasSteps,
    LikelihoodKind,
)


@dataclass(frozen=True)
class HyperParameter:
    """A field of a model's ``Config``.

    Attributes:
        name: as in ``--set MODEL.name=value``.
        type: as annotated ("int").
        default: of the recipe; None where there is none.
        help: one line.
    """

    name: str
    type: str
    default: Any
    help: str


@dataclass(frozen=True)
class Description:
    """Facts about a model from its class.

    Attributes:
        capabilities: names of those of the contract that it has, and kinds of y that it takes.
        likelihood: kind of its likelihood; None if it has none, or if only scoring would reveal it.
        stages: names and shares of the budget.
        settings: its hyper-parameters, in order.
    """

    capabilities: tuple[str, ...]
    likelihood: str | None
    stages: tuple[tuple[str, float], ...]
    settings: tuple[HyperParameter, ...]


def describe(model_class: type[GenerativeModel]) -> Description:
    """Describe a model without building it."""
    return Description(
        capabilities=capabilities(model_class),
        likelihood=likelihood_kind(model_class),
        stages=model_class.stages,
        settings=settings(model_class.Config),
    )


def capabilities(model_class: type[GenerativeModel]) -> tuple[str, ...]:
    """Return the names of the capabilities of a model's instances."""
    by_methods = (HasLikelihood, HasLatent, HasEncoder)
    found = [each.__name__ for each in by_methods if issubclass(model_class, each)]
    if hasattr(model_class, "sampling_steps") or "sampling_steps" in _declared(model_class):
        found.append(HasSteps.__name__)
    found += [f"takes {kind}" for kind in sorted(model_class.takes)]
    return tuple(found)


def _declared(model_class: type[GenerativeModel]) -> set[str]:
    """Return the attributes of instances: annotations, and settings of the same name."""
    annotated = {name for cls in model_class.__mro__ for name in inspect.get_annotations(cls)}
    return annotated | {field.name for field in fields(model_class.Config)}


def likelihood_kind(model_class: type[GenerativeModel]) -> str | None:
    """Return the kind that the code of ``log_likelihood`` names, if it names one and no other."""
    if not issubclass(model_class, HasLikelihood):
        return None
    method = inspect.unwrap(model_class.log_likelihood)
    constants = getattr(getattr(method, "__code__", None), "co_consts", ())
    named = [kind for kind in get_args(LikelihoodKind) if kind in constants]
    return named[0] if len(named) == 1 else None


def settings(config_class: type) -> tuple[HyperParameter, ...]:
    """Return the hyper-parameters of a ``Config``."""
    return tuple(
        HyperParameter(
            name=field.name,
            type=field.type
            if isinstance(field.type, str)
            else inspect.formatannotation(field.type),
            default=None if field.default is MISSING else field.default,
            help=field.metadata.get("help", ""),
        )
        for field in fields(config_class)
    )
