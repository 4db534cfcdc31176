"""The budget of a trial: an amount of one of four currencies, parsed from text.

``90s``, ``20 device-seconds``, ``10 min``, ``2 PFLOP``, ``300k images``, ``5k steps``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, Protocol

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from harness.errors import quoted


class Currency(StrEnum):
    """A unit in which compute is metered."""

    SECONDS = "device-seconds"
    FLOPS = "flops"
    IMAGES = "images"
    STEPS = "steps"

    @property
    def field(self) -> str:
        """Its field in a ``Usage``: "seconds", "flops", "images" or "steps"."""
        return self.value.removeprefix("device-")


class Metered(Protocol):
    """Usage so far: a ``Ledger`` or a ``Usage``."""

    @property
    def seconds(self) -> float:
        """Device-seconds on the clock."""

    @property
    def flops(self) -> float:
        """Floating-point operations of training; a multiply-add is two."""

    @property
    def images(self) -> int:
        """Images passed to ``training_step``."""

    @property
    def steps(self) -> int:
        """Optimizer steps."""


class BudgetError(ValueError):
    """A text or an amount is not a budget."""


@dataclass(frozen=True)
class Budget:
    """An amount of one currency.

    Attributes:
        amount: positive and finite; device-seconds, FLOPs, images or optimizer steps.
        currency: the one that binds; the other three are metered only.

    Raises:
        BudgetError: the amount is not positive and finite, or not whole where things are counted.
    """

    amount: float
    currency: Currency

    def __post_init__(self) -> None:
        if not (math.isfinite(self.amount) and self.amount > 0):
            raise BudgetError(f"a budget is positive and finite, not {self.amount:g}; {_EXAMPLES}")
        counted = self.currency in (Currency.IMAGES, Currency.STEPS)
        if counted and self.amount != int(self.amount):
            raise BudgetError(f"{self.currency} are counted in whole numbers, not {self.amount:g}")
        if counted and self.amount >= 2**53:  # where floats no longer represent all whole numbers
            raise BudgetError(f"{self.currency} are counted below 2**53; {_EXAMPLES}")
        object.__setattr__(self, "amount", float(self.amount))

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Read a number, an optional SI prefix (k M G T P E) and a unit.

        Args:
            text: such as "90s", "20 device-seconds", "2 h", "2 PFLOP", "300k images", "5k steps".

        Raises:
            BudgetError: the message states what is wrong with the text and what would be right.
        """
        match = _NUMBER.match(text)
        if match is None:
            raise BudgetError(
                f"budget {quoted(text)} does not begin with a positive number; {_EXAMPLES}"
            )
        currency, scale = _unit(match["unit"], text)
        try:
            # Decimal, because 2.3e6 is 2299999.9999999995 as a product of floats.
            return cls(float(Decimal(match["number"].replace("_", "")) * scale), currency)
        except BudgetError as error:
            raise BudgetError(f"budget {quoted(text)}: {error}") from None
        except ArithmeticError:
            raise BudgetError(f"budget {quoted(text)} is out of range; {_EXAMPLES}") from None

    def __str__(self) -> str:
        number = Decimal(repr(self.amount))
        if self.currency is Currency.SECONDS:
            return f"{_digits(number)} device-second{'' if number == 1 else 's'}"
        prefix, scale = max(
            ((p, s) for p, s in _CANONICAL.items() if s <= number),
            key=lambda item: item[1],
            default=("", 1),
        )
        if self.currency is Currency.FLOPS:
            return f"{_digits(number / scale)} {prefix}FLOP"
        noun = self.currency.field.removesuffix("s")
        return f"{_digits(number / scale)}{prefix} {noun}{'' if number == 1 else 's'}"

    def used(self, usage: Metered) -> float:
        """Return the amount of the binding currency in ``usage``."""
        return float(getattr(usage, self.currency.field))

    def fraction(self, usage: Metered) -> float:
        """Return min(used / amount, 1), the ``progress`` of training."""
        return min(self.used(usage) / self.amount, 1.0)

    def exhausted(self, usage: Metered) -> bool:
        """Return whether nothing is left."""
        return self.used(usage) >= self.amount

    def overrun(self, usage: Metered) -> float:
        """Return max(used - amount, 0), in the currency's unit."""
        return max(self.used(usage) - self.amount, 0.0)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _validate, serialization=core_schema.to_string_ser_schema()
        )


_EXAMPLES = 'write "90s", "20 device-seconds", "10 min", "2 PFLOP", "300k images" or "5k steps"'

_DIGITS = r"\d+(?:_\d+)*"
_NUMBER = re.compile(
    rf"\s*\+?(?P<number>(?:{_DIGITS}\.?(?:{_DIGITS})?|\.{_DIGITS})(?:[eE][+-]?\d+)?)"
    r"\s*(?P<unit>.*?)\s*$",
    re.DOTALL | re.ASCII,
)

_CANONICAL = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
# Not "m", which may be milli, mega or minutes; not "e", which may be a cut-off exponent.
_PREFIXES = _CANONICAL | {p: _CANONICAL[p.upper()] for p in "gtp"} | {"K": 10**3}

_SINGULAR = {
    "device-second": (Currency.SECONDS, 1),
    "device-minute": (Currency.SECONDS, 60),
    "device-hour": (Currency.SECONDS, 3600),
    "second": (Currency.SECONDS, 1),
    "sec": (Currency.SECONDS, 1),
    "minute": (Currency.SECONDS, 60),
    "min": (Currency.SECONDS, 60),
    "hour": (Currency.SECONDS, 3600),
    "day": (Currency.SECONDS, 86400),
    "flop": (Currency.FLOPS, 1),
    "image": (Currency.IMAGES, 1),
    "img": (Currency.IMAGES, 1),
    "step": (Currency.STEPS, 1),
    "optimizer step": (Currency.STEPS, 1),
}
_UNITS = (
    _SINGULAR
    | {f"{name}s": unit for name, unit in _SINGULAR.items()}
    | {"s": (Currency.SECONDS, 1), "h": (Currency.SECONDS, 3600)}
)


def _unit(words: str, text: str) -> tuple[Currency, int]:
    """Return the currency and the scale of a prefixed unit."""
    if re.search(r"\d", words):
        raise BudgetError(f"budget {quoted(text)} must be one number with one unit; {_EXAMPLES}")
    if re.fullmatch(r".*flops?\s*(/|per).*", words.lower()):
        raise BudgetError(f"budget {quoted(text)} is a rate; a budget is a total, such as 2 PFLOP")
    name = re.sub(r"\s+", " ", words)
    if unit := _UNITS.get(name.lower()):
        return unit
    prefix, rest = name[:1], name[1:].strip().lower()
    if not rest and (not prefix or prefix in _PREFIXES):
        raise BudgetError(f"budget {quoted(text)} has no unit; {_EXAMPLES}")
    currency, scale = _UNITS.get(rest, (None, 1))
    if currency and scale == 1 and prefix in _PREFIXES:
        return currency, _PREFIXES[prefix]
    if prefix == "m" and (currency or not rest):
        raise BudgetError(
            f'budget {quoted(text)}: "m" is ambiguous; write "M" for a million, "min" for minutes'
        )
    near = get_close_matches(name.lower(), _UNITS, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else ""
    raise BudgetError(
        f"budget {quoted(text)} has the unknown unit {quoted(name)}{hint} ({_EXAMPLES})"
    )


def _digits(number: Decimal) -> str:
    """Write a number in full, with no exponent and no trailing zeros."""
    digits = f"{number:f}"
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _validate(value: Any) -> Budget:
    if isinstance(value, Budget):
        return value
    if isinstance(value, str):
        return Budget.parse(value)
    raise BudgetError(f"a budget is text with a unit, not {quoted(value)}; {_EXAMPLES}")
