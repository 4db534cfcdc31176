"""The hyper-parameters of a model: validation of its ``Config``, and settings of a file."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from harness.errors import UserError, did_you_mean, quoted
from harness.files.validation import validation_messages
from harness.plugins.contract_validation import ContractBroken, describe_value


def validate_config_class(config_class: Any) -> None:
    """Validate a model's ``Config`` against the contract.

    Raises:
        ContractBroken: it is not a frozen dataclass with a ``batch_size``, or a field has a type
            that cannot be read from a file, or a default that cannot be written to one.
    """
    if not (isinstance(config_class, type) and dataclasses.is_dataclass(config_class)):
        raise ContractBroken(
            f"Config is {describe_value(config_class)}, not a dataclass; the contract asks for a "
            "class under @dataclass(frozen=True)"
        )
    parameters: Any = getattr(config_class, "__dataclass_params__", None)
    if not parameters.frozen:
        raise ContractBroken("Config is mutable; write @dataclass(frozen=True) above it")
    fields = {field.name: field for field in dataclasses.fields(config_class)}
    for name, value in vars(config_class).items():
        if name not in fields and not name.startswith("_") and _is_plain(value):
            if name in inspect.get_annotations(config_class):
                continue  # ClassVar
            raise ContractBroken(
                f"Config.{name} has no annotation, so it is not a setting; "
                f"write '{name}: {type(value).__name__} = {quoted(value)}'"
            )
    if "batch_size" not in fields:
        raise ContractBroken(
            "Config has no batch_size, the images of a training step; "
            "write 'batch_size: int = setting(64, \"images per step\")'"
        )
    for name, hint in _types(config_class, fields).items():
        try:
            TypeAdapter(hint)
        except Exception as error:  # pydantic may raise anything for a foreign type
            message = str(error).splitlines()[0].rstrip(".")
            raise ContractBroken(
                f"Config.{name} is of a type that a file cannot set ({message}); use numbers, "
                "text, true or false, and tuples of these"
            ) from None


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str | tuple | list | dict | None)


def _types(config_class: type, names: Mapping[str, Any]) -> dict[str, Any]:
    try:
        hints = typing.get_type_hints(config_class, include_extras=True)
    except Exception as error:
        at_fault = [name for name in names if not _resolves(config_class, name)]
        named = at_fault[0] if at_fault else "?"
        raise ContractBroken(
            f"Config.{named} has an annotation that does not resolve at run time "
            f"({type(error).__name__}: {error}); import its type outside `if TYPE_CHECKING`"
        ) from None
    return {name: hints[name] for name in names if name in hints}


def _resolves(config_class: type, name: str) -> bool:
    for owner in config_class.__mro__:
        annotation = inspect.get_annotations(owner).get(name)
        if annotation is not None:
            probe = type("Probe", (), {"__annotations__": {name: annotation}})
            probe.__module__ = owner.__module__
            try:
                typing.get_type_hints(probe)
            except Exception:
                return False
            return True
    return True


def resolve_config(config_class: type, settings: Mapping[str, Any], where: str) -> Any:
    """Return the hyper-parameters of a model: its recipe with ``settings``, checked by type.

    Raises:
        UserError: an unknown name or a value of a wrong type, with its path.
        ContractBroken: a default that does not match its own type, or does not survive a file.
    """
    names = [field.name for field in dataclasses.fields(config_class)]
    for name in settings:
        if name not in names:
            hint = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            raise UserError(f"{where}.{name}: no such setting{hint}")
    config = _validated(config_class, json.dumps(dict(settings), default=str), where)
    for name, value in dataclasses.asdict(config).items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"{where}.{name}: {value}: write a finite number")
    _survives_a_file(config, settings)
    if not 1 <= config.batch_size < 2**31:
        raise UserError(
            f"{where}.batch_size: {quoted(config.batch_size)}: write a whole number from 1 to 2**31"
        )
    return config


def _validated(config_class: type, settings: str, where: str) -> Any:
    try:
        # Strict, so that true is not 1 and "64" is not 64; as JSON, so that a list may be a tuple.
        return TypeAdapter(config_class).validate_json(settings, strict=True)
    except ValidationError as error:
        raise UserError(
            "\n".join(f"{where}.{line}" for line in validation_messages(error))
        ) from None
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    except Exception as error:
        raise UserError(f"{where}: {type(error).__name__} in Config: {error}") from error


def _survives_a_file(config: Any, settings: Mapping[str, Any]) -> None:
    """Raise unless the settings survive being written to a file and read back."""
    if not isinstance(config.batch_size, int) or isinstance(config.batch_size, bool):
        raise ContractBroken(
            f"Config.batch_size is {quoted(config.batch_size)}; the contract asks for an int"
        )
    written = dataclasses.asdict(config)
    for name, value in written.items():
        try:
            TypeAdapter(Any).dump_json(value)
        except (PydanticSerializationError, ValueError):
            raise ContractBroken(
                f"Config.{name} is {describe_value(value)} by default, which cannot be written to "
                "a file; use a number, a text, true or false, or a tuple of these, and look up "
                "functions by name in __init__"
            ) from None
    text = TypeAdapter(dict[str, Any]).dump_json(written).decode()
    try:
        read = _validated(type(config), text, "Config")
    except UserError as error:
        raise ContractBroken(f"{error} (its own default does not fit its type)") from None
    for name, value in written.items():
        if (found := dataclasses.asdict(read)[name]) != value:
            raise ContractBroken(
                f"Config.{name} is {quoted(value)}, but {quoted(found)} after being written to a "
                "file and read; use a number, a text, true or false, or a tuple of these"
            )
