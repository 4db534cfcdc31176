"""Validation of a model against the types of the contract: class, attributes, return values.

Each function raises ``ContractBroken``, which names the method or attribute, what was found and
what ``harness.contract`` asks for. Whether the numbers are right is for ``harness.checks``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from harness.contract import (
    AXES,
    Batch,
    DataSpec,
    GenerativeModel,
    LikelihoodKind,
    LogLikelihood,
)

_CALLS: dict[str, tuple[Any, ...]] = {
    "training_step": (Batch, 0.0),
    "sample": (1, None),
    "log_likelihood": (Tensor, None),
    "sample_prior": (1,),
    "decode": (Tensor,),
    "encode": (Tensor,),
}
"""How the harness calls each method of a model."""


class ContractBroken(ValueError):
    """Something has another type or shape than the contract requires; the message says what."""


def describe_value(value: Any) -> str:
    """Describe a value for a message: "a float", "None", "a tensor torch.float32 (3,)"."""
    if value is None:
        return "None"
    if isinstance(value, Tensor):
        return f"a tensor {value.dtype} {tuple(value.shape)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def validate_subclass(found: Any, base: type) -> None:
    """Raise ``ContractBroken`` unless ``found`` is a concrete subclass of ``base``."""
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ContractBroken(
            f"it is {describe_value(found)}; the contract asks for a subclass of "
            f"{base.__module__}.{base.__name__}"
        )
    if missing := sorted(getattr(found, "__abstractmethods__", ())):
        raise ContractBroken(f"{found.__name__} does not define {', '.join(missing)}")


def validate_class(model_class: Any) -> None:
    """Validate a model class before it is built, except its ``Config``."""
    validate_subclass(model_class, GenerativeModel)
    for name, arguments in _CALLS.items():
        _validate_signature(model_class, name, arguments)
    _validate_kinds(model_class)
    # Properties may follow from the settings: the instance is asked.
    if not isinstance(stages := inspect.getattr_static(model_class, "stages"), property):
        _validate_stages(stages)
    if not isinstance(period := inspect.getattr_static(model_class, "period"), property):
        _validate_period(period)


def _validate_kinds(model_class: type[GenerativeModel]) -> None:
    known = frozenset(AXES)
    for name, allowed in (("makes", known - {"label"}), ("takes", known)):
        kinds = getattr(model_class, name)
        asked = f"the contract asks for a frozenset of {', '.join(sorted(allowed))}"
        if not isinstance(kinds, frozenset | set):
            raise ContractBroken(f"{name} is {describe_value(kinds)} {kinds!r:.60}; {asked}")
        if strangers := kinds - allowed:
            raise ContractBroken(f"{name} holds {sorted(map(repr, strangers))[0]:.60}; {asked}")
    if not model_class.makes:
        raise ContractBroken("makes is empty; the contract asks for the kinds that a model makes")
    if model_class.needs_condition and not model_class.takes:
        raise ContractBroken(
            "needs_condition is set and takes is empty; the contract asks for the kinds of y that "
            "the model is conditioned on"
        )


def _validate_signature(model_class: type, name: str, arguments: tuple[Any, ...]) -> None:
    if (method := inspect.getattr_static(model_class, name, None)) is None:
        return
    if not callable(getattr(model_class, name)):
        raise ContractBroken(f"{name} is {describe_value(method)}; the contract asks for a method")
    own = () if isinstance(method, staticmethod | classmethod) else (model_class,)
    try:
        signature = inspect.signature(getattr(model_class, name))
    except (TypeError, ValueError):  # native code has no signature
        return
    try:
        signature.bind(*own, *arguments)
    except TypeError as error:
        asked = inspect.signature(getattr(GenerativeModel, name)) if name in _ABSTRACT else None
        usage = f"{name}{asked or _USAGE[name]}"
        raise ContractBroken(
            f"{name}{signature} cannot be called with {len(arguments)} argument"
            f"{'s' if len(arguments) > 1 else ''} ({error}); the contract asks for {usage}"
        ) from None


_ABSTRACT = GenerativeModel.__abstractmethods__
_USAGE = {
    "log_likelihood": "(self, x, y=None)",
    "sample_prior": "(self, n)",
    "decode": "(self, z)",
    "encode": "(self, x)",
}


def _validate_stages(stages: Any) -> None:
    asked = 'the contract asks for names and shares of the budget, such as (("train", 1.0),)'
    if not isinstance(stages, tuple | list) or not stages:
        raise ContractBroken(f"stages is {describe_value(stages)} {stages!r:.60}; {asked}")
    for stage in stages:
        if not (
            isinstance(stage, tuple | list)
            and len(stage) == 2
            and isinstance(stage[0], str)
            and isinstance(stage[1], int | float)
            and 0 < stage[1] <= 1 + 1e-6
        ):
            raise ContractBroken(f"stages holds {stage!r:.60}; {asked}, with shares above 0")
    names = [name for name, _ in stages]
    if len(set(names)) < len(names):
        raise ContractBroken(f"stages has one name twice: {', '.join(names)}")
    if not math.isclose(total := sum(share for _, share in stages), 1, abs_tol=1e-6):
        raise ContractBroken(f"the shares of stages sum to {total:g}; the contract asks for 1")


def _validate_period(period: Any) -> None:
    if isinstance(period, bool) or not isinstance(period, int) or period < 1:
        raise ContractBroken(
            f"period is {period!r:.60}; the contract asks for a whole number of training steps, "
            "1 or more"
        )


def validate_model(model: GenerativeModel, spec: DataSpec, config: Any) -> None:
    """Validate the attributes of a model that was just built.

    Args:
        model: built from the two others.
        spec: of the data.
        config: its hyper-parameters.
    """
    for name, given in (("spec", spec), ("config", config)):
        if (found := _attribute(model, name)) != given:
            raise ContractBroken(
                f"{name} is {describe_value(found)} after __init__, not what the model was given; "
                "call super().__init__(spec, config), and use another name for your own attribute"
            )
    network = _attribute(model, "network")
    if not isinstance(network, nn.Module):
        raise ContractBroken(
            f"network is {describe_value(network)}; the contract asks for the torch.nn.Module "
            "whose calls are the function evaluations of sampling"
        )
    _validate_stages(model.stages)
    _validate_period(model.period)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            raise ContractBroken(
                f"{name} has no shape yet (a lazy module); the contract asks for all parameters "
                "when __init__ ends: give the layer its size, or run it once there"
            )
    _validate_optimizers(model)
    if hasattr(model, "sampling_steps"):
        steps = model.sampling_steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ContractBroken(
                f"sampling_steps is {steps!r:.60}; the contract asks for a whole number, 1 or more"
            )


def _attribute(model: GenerativeModel, name: str) -> Any:
    try:
        return getattr(model, name)
    except AttributeError:
        raise ContractBroken(
            f"there is no attribute {name!r}; the contract asks that __init__ sets it"
        ) from None


def _validate_optimizers(model: GenerativeModel) -> None:
    asked = "the contract asks for a dict of torch optimizers by name"
    optimizers = _attribute(model, "optimizers")
    if not isinstance(optimizers, dict):
        raise ContractBroken(f"optimizers is {describe_value(optimizers)}; {asked}")
    own = {id(parameter) for parameter in model.parameters()}
    for name, optimizer in optimizers.items():
        if not isinstance(name, str):
            raise ContractBroken(f"optimizers has the key {name!r:.60}; {asked}")
        if not isinstance(optimizer, Optimizer):
            raise ContractBroken(f"optimizers[{name!r}] is {describe_value(optimizer)}; {asked}")
        groups = optimizer.param_groups
        strangers = [p for group in groups for p in group["params"] if id(p) not in own]
        if strangers:
            shape = tuple(strangers[0].shape)
            raise ContractBroken(
                f"optimizers[{name!r}] moves {len(strangers)} tensors that are not parameters of "
                f"the model, the first of shape {shape}, so no checkpoint would hold them; keep "
                "modules in attributes or nn.ModuleList, tensors in nn.Parameter"
            )


def validated_losses(losses: Any) -> Mapping[str, Tensor]:
    """Return what ``training_step`` returned, if it is named scalar tensors."""
    asked = "the contract asks for a dict of scalar tensors"
    if not isinstance(losses, Mapping):
        raise ContractBroken(f"training_step returned {describe_value(losses)}; {asked}")
    for name, loss in losses.items():
        if not isinstance(name, str):
            raise ContractBroken(f"training_step returned the key {name!r:.60}; {asked} by name")
        if not isinstance(loss, Tensor) or loss.numel() != 1 or loss.is_complex():
            raise ContractBroken(
                f"training_step returned {describe_value(loss)} as the loss {name!r}; {asked}"
            )
    return losses


def validate_examples(x: Any, n: int, spec: DataSpec, method: str) -> None:
    """Hold to type and shape what ``method`` returned as ``n`` examples of x."""
    expected = (n, *spec.shape)
    asked = f"the contract asks for torch.uint8 {expected}"
    if not isinstance(x, Tensor):
        raise ContractBroken(f"{method} returned {describe_value(x)}; {asked}")
    if x.dtype != torch.uint8 or tuple(x.shape) != expected:
        raise ContractBroken(f"{method} returned {x.dtype} {tuple(x.shape)}; {asked}")


def validate_levels(x: Tensor, spec: DataSpec, method: str) -> None:
    """Hold examples that ``method`` returned to the values that the data has."""
    if spec.levels < 256 and int(x.max()) >= spec.levels:
        raise ContractBroken(
            f"{method} returned the value {int(x.max())}; "
            f"the data has {spec.levels} levels, 0 to {spec.levels - 1}"
        )


def validate_likelihood(likelihood: Any, n: int) -> None:
    """Hold to the contract what ``log_likelihood`` returned of ``n`` examples."""
    if not isinstance(likelihood, LogLikelihood):
        raise ContractBroken(
            f"log_likelihood returned {describe_value(likelihood)}; the contract asks for a "
            "harness.contract.LogLikelihood(nats, kind)"
        )
    nats, kind = likelihood.nats, likelihood.kind
    if not isinstance(nats, Tensor) or not nats.is_floating_point():
        raise ContractBroken(
            f"log_likelihood returned nats that are {describe_value(nats)}; the contract asks for "
            "a "
            f"floating-point tensor ({n},)"
        )
    if (shape := tuple(nats.shape)) != (n,):
        raise ContractBroken(f"log_likelihood returned nats of shape {shape}, not ({n},)")
    if kind not in get_args(LikelihoodKind):
        known = ", ".join(get_args(LikelihoodKind))
        raise ContractBroken(
            f"log_likelihood returned a likelihood of kind {kind!r:.60}: not {known}"
        )
    if not isinstance(likelihood.detail, str):
        raise ContractBroken(
            f"log_likelihood returned a detail that is {describe_value(likelihood.detail)}; the "
            "contract asks for text"
        )
    for name in ("k", "probes"):
        count = getattr(likelihood, name)
        if count is not None and (isinstance(count, bool) or not isinstance(count, int)):
            raise ContractBroken(
                f"log_likelihood returned {name} = {count!r:.60}; the contract asks for a whole "
                "number or None"
            )


def validate_latents(z: Any, n: int, method: str) -> None:
    """Validate the ``n`` latent variables that ``method`` returned."""
    if not isinstance(z, Tensor) or not z.ndim or len(z) != n:
        raise ContractBroken(
            f"{method} returned {describe_value(z)}; the contract asks for a tensor of {n} latent "
            f"variables, ({n}, ...)"
        )
