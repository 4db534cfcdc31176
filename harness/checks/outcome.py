"""Outcome of a check: a verdict, what is wrong, and where to look."""

from __future__ import annotations

import inspect
import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from harness.checks import NotApplicable, checks_for
from harness.checks.patience import TimeLimitReached, time_limit
from harness.contract import DataSpec, GenerativeModel

_CHECKS = Path(__file__).parent


class Verdict(StrEnum):
    """Verdict on one check."""

    passed = "passed"
    failed = "failed"
    not_applicable = "not applicable"
    unfinished = "unfinished"
    error = "error"


@dataclass(frozen=True)
class Outcome:
    """Outcome of one check.

    Attributes:
        name: of the check.
        reason: what it checks.
        verdict: "error" if the model raised something.
        message: what is wrong, why the check does not apply, or what it left out.
        where: "file:line, name" of the likely cause; "" if it passed or is unknown.
        seconds: duration.
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
        return self.verdict not in (Verdict.failed, Verdict.error)


@dataclass(frozen=True)
class BoundCheck:
    """A check together with its subject: a model class, a metric class, or a function.

    Attributes:
        name: short, for a table.
        reason: what it checks, in one line.
        run: raises ``AssertionError`` or ``NotApplicable``; returns what it left out, if anything.
        subject: the object that a failure most likely comes from.
        attribute: the attribute of ``subject`` that it most likely comes from; "" for all of it.
    """

    name: str
    reason: str
    run: Callable[[], str | None]
    subject: Any
    attribute: str = ""


def outcomes(
    model_class: type[GenerativeModel],
    spec: DataSpec,
    overrides: Mapping[str, Any],
    seconds: float = math.inf,
) -> Iterator[Outcome]:
    """Run the checks that apply to a model, one after the other; see ``outcomes_of``.

    Where its types break the contract, the other checks would only fail for the same reason.
    """
    bound = [
        BoundCheck(
            check.name,
            check.reason,
            partial(check.run, spec, **overrides),
            model_class,
            check.attribute,
        )
        for check in checks_for(model_class)
    ]
    for number, outcome in enumerate(outcomes_of(bound, seconds), start=1):
        yield outcome
        if outcome.name == "types" and outcome.verdict is Verdict.failed:
            yield from (_left(check, "fix `types` first") for check in bound[number:])
            return


def outcomes_of(checks: Iterable[BoundCheck], seconds: float = math.inf) -> Iterator[Outcome]:
    """Run checks, one after the other.

    None gets more than a third of what is left of ``seconds``, so that each gets some.
    """
    for check in checks:
        outcome = _outcome(check, seconds / 3)
        seconds -= outcome.seconds
        yield outcome


def _outcome(check: BoundCheck, limit: float) -> Outcome:
    start = time.perf_counter()
    verdict, message, where = Verdict.passed, "", ""
    try:
        with time_limit(limit):
            message = check.run() or ""
    except TimeLimitReached:
        verdict, message = Verdict.unfinished, f"unknown: it takes over {limit:.0f} s"
    except NotApplicable as reason:
        verdict, message = Verdict.not_applicable, str(reason)
    except Exception as error:
        where = _definition(check.subject, check.attribute)
        if isinstance(error, AssertionError) and not _is_the_models(error):
            verdict, message = Verdict.failed, str(error)
        else:
            verdict, message = Verdict.error, f"{type(error).__name__}: {error}".strip(": ")
            where = _raised_in(check.subject, error.__traceback__) or where
    seconds = time.perf_counter() - start
    return Outcome(check.name, check.reason, verdict, message, where, seconds)


def _left(check: BoundCheck, why: str) -> Outcome:
    return Outcome(check.name, check.reason, Verdict.unfinished, why, "", 0.0)


def _is_the_models(error: Exception) -> bool:
    """Whether an assertion comes not from a check, but from code that a check has called."""
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename).parent != _CHECKS


def _definition(subject: Any, name: str) -> str:
    """Return "file:line, Class.name" of what ``name`` is in a class, or of the subject itself."""
    owner = subject
    if name:
        owner = next((cls for cls in subject.__mro__ if name in vars(cls)), subject)
    title = ".".join(filter(None, (getattr(owner, "__qualname__", repr(owner)), name)))
    try:
        found = inspect.unwrap(getattr(owner, name, owner) if name else owner)
        line = inspect.getsourcelines(found)[1]
        return f"{inspect.getsourcefile(found)}:{line}, {title}"
    except (OSError, TypeError):
        return f"{getattr(owner, '__module__', '')}.{title}"


def _raised_in(subject: Any, trace: TracebackType | None) -> str:
    """Return "file:line, function" of the last frame of an error in the subject's own module."""
    try:
        own = inspect.getsourcefile(inspect.unwrap(subject))
    except TypeError:
        return ""
    frames = [frame for frame in traceback.extract_tb(trace) if frame.filename == own]
    return f"{own}:{frames[-1].lineno}, {frames[-1].name}" if frames else ""
