"""A finding of ``harness doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Severity of a finding."""

    ok = "ok"
    warning = "warning"
    """``harness run digits`` works, something else may not."""
    problem = "problem"
    """``harness run digits`` does not work."""


@dataclass(frozen=True)
class Finding:
    """One line of ``harness doctor``.

    Attributes:
        subject: what was checked.
        verdict: its severity.
        found: what was observed.
        remedy: what would help; empty if nothing is wrong.
    """

    subject: str
    verdict: Severity
    found: str
    remedy: str = ""


def ok(subject: str, found: str) -> Finding:
    """Return a finding that needs no remedy."""
    return Finding(subject, Severity.ok, found)


def warning(subject: str, found: str, remedy: str) -> Finding:
    """Return a finding that leaves ``harness run digits`` unharmed."""
    return Finding(subject, Severity.warning, found, remedy)


def problem(subject: str, found: str, remedy: str) -> Finding:
    """Return a finding that stops ``harness run digits``."""
    return Finding(subject, Severity.problem, found, remedy)
