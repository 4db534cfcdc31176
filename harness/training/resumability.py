"""Verification that a model's checkpoint loads into a model as ``__init__`` builds it."""

from __future__ import annotations

import io
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.contract import GenerativeModel
from harness.machine.exceptions import explain, is_out_of_memory
from harness.plugins.contract_validation import ContractBroken, describe_value
from harness.training.averaging import WeightAverage

log = logging.getLogger(__name__)

PARTS = ("model", "optimizers", "average")
"""Keys of what ``training_state`` returns."""

_PLAIN = (
    Tensor,
    str,
    bytes,
    bool,
    int,
    float,
    complex,
    type(None),
    torch.dtype,
    torch.device,
    torch.Size,
)


def training_state(model: GenerativeModel, average: WeightAverage) -> dict[str, Any]:
    """Return the state of a model, its optimizers and its averaged weights for a checkpoint.

    NumPy scalars, which do not load with ``weights_only=True``, are converted to Python numbers.
    """
    weights = model.state_dict()
    for name in weights:
        weights[name] = _with_python_numbers(weights[name])
    optimizers = {name: optimizer.state_dict() for name, optimizer in model.optimizers.items()}
    return {
        "model": weights,
        "optimizers": _with_python_numbers(optimizers),
        "average": average.state_dict(),
    }


def load_training_state(
    model: GenerativeModel, average: WeightAverage, state: Mapping[str, Any]
) -> None:
    """Load what ``training_state`` returned for another model."""
    model.load_state_dict(state["model"])
    for name, optimizer in model.optimizers.items():
        optimizer.load_state_dict(state["optimizers"][name])
    average.load_state_dict(state["average"])


class CheckpointVerifier:
    """Verifies that checkpoints load: each with a new structure.

    Args:
        build: returns a new model and the average of its weights.
    """

    def __init__(self, build: Callable[[], tuple[GenerativeModel, WeightAverage]]) -> None:
        self._build = build
        self._known: Any = None

    def verify(self, state: Mapping[str, Any]) -> None:
        """Load ``state`` into a new model, unless one of the same structure was verified before.

        Args:
            state: as returned by ``training_state``.

        Raises:
            ContractBroken: the trial could not be resumed from it.
        """
        structure = [_structure(state[part]) for part in ("model", "optimizers")]
        if structure == self._known:
            return
        try:
            loaded = _written_and_read({part: state[part] for part in PARTS})
            load_training_state(*self._build(), loaded)
        except ContractBroken:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                log.warning("no checkpoint was verified, for lack of memory")
                return
            message = " ".join(str(error).split())
            raise ContractBroken(
                "a checkpoint would not load into the model as __init__ builds it: "
                f"{type(error).__name__}: {message}; the contract asks that parameters, buffers "
                "and optimizers have their names and shapes when __init__ ends"
            ) from error
        self._known = structure


def _written_and_read(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    try:
        torch.save(state, file)
        file.seek(0)
        loaded: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        place, value = next(_foreign(state, ""), ("", None))
        message = f"{place} is {describe_value(value)}" if place else explain(error)
        raise ContractBroken(
            f"a checkpoint would not load with weights_only=True: {message}; the contract asks for "
            "tensors, numbers and text, in lists, tuples and dicts"
        ) from error
    return loaded


def _with_python_numbers(value: Any) -> Any:
    """Return ``value``, with NumPy scalars in containers converted to Python numbers."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (dict, OrderedDict):
        plain = _with_python_numbers
        return type(value)((plain(key), plain(item)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(_with_python_numbers(item) for item in value)
    return value


def _structure(value: Any) -> Any:
    """Return the structure of a value that decides whether it loads: keys, types and shapes."""
    if isinstance(value, Tensor):
        return value.dtype, tuple(value.shape)
    if isinstance(value, Mapping):
        return type(value), [(key, _structure(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        items = [_structure(item) for item in value]
        # A list that only grows by numbers keeps its structure.
        plain = all(isinstance(item, type) for item in items)
        return type(value), list(dict.fromkeys(items)) if plain else items
    return type(value)


def _foreign(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield values that are not plain, with their path."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _foreign(item, f"{place}[{key!r}]" if place else str(key))
    elif type(value) in (list, tuple, set):
        for index, item in enumerate(value):
            yield from _foreign(item, f"{place}[{index}]")
    elif not isinstance(value, _PLAIN) or isinstance(value, np.generic):
        yield place, value
