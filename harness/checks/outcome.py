"""What came of a check: a verdict, what is wrong, and where to look."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any

from harness.checks import Check, NotApplicable, checks_for
from harness.contract import DataSpec, GenerativeModel


class Verdict(StrEnum):
    """Of one check."""

    passed = "passed"
    failed = "failed"
    not_applicable = "not applicable"
    error = "error"


@dataclass(frozen=True)
class Outcome:
    """What came of one check.

    Attributes:
        name: of the check.
        reason: what it holds the model to.
        verdict: "error" if the model raised something.
        message: what is wrong, or why the check does not apply; "" if it passed.
        where: "file:line, name" of what is likely to be mended; "" if it passed or is unknown.
        seconds: that it took.
    """

    name: str
    reason: str
    verdict: Verdict
    message: str
    where: str
    seconds: float

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict in (Verdict.passed, Verdict.not_applicable)


def outcomes(
    model_class: type[GenerativeModel], spec: DataSpec, overrides: Mapping[str, Any]
) -> Iterator[Outcome]:
    """Run the checks that apply to a model, one after the other."""
    for check in checks_for(model_class):
        yield _outcome(check, spec, overrides)


def _outcome(check: Check, spec: DataSpec, overrides: Mapping[str, Any]) -> Outcome:
    start = time.perf_counter()
    verdict, message, where = Verdict.passed, "", ""
    try:
        check.run(spec, **overrides)
    except NotApplicable as reason:
        verdict, message = Verdict.not_applicable, str(reason)
    except AssertionError as failure:
        verdict, message = Verdict.failed, str(failure)
        where = _definition(check.model_class, check.suspect)
    except Exception as error:
        verdict, message = Verdict.error, f"{type(error).__name__}: {error}"
        where = _raised_in(check.model_class, error.__traceback__)
        where = where or _definition(check.model_class, check.suspect)
    seconds = time.perf_counter() - start
    return Outcome(check.name, check.reason, verdict, message, where, seconds)


def _definition(model_class: type[GenerativeModel], name: str) -> str:
    """Return "file:line, Class.name" of what ``name`` is in a model's class."""
    owner = next((cls for cls in model_class.__mro__ if name in vars(cls)), model_class)
    try:
        found = inspect.unwrap(getattr(owner, name, owner))
        line = inspect.getsourcelines(found)[1]
        return f"{inspect.getsourcefile(found)}:{line}, {owner.__name__}.{name}"
    except (OSError, TypeError):
        return f"{owner.__module__}.{owner.__name__}.{name}"


def _raised_in(model_class: type[GenerativeModel], trace: TracebackType | None) -> str:
    """Return "file:line, function" of the last frame of an error in the model's own module."""
    own = inspect.getsourcefile(model_class)
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == own]
    return f"{own}:{frames[-1].lineno}, {frames[-1].name}" if frames else ""
