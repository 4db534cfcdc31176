"""What a check of the machine found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is."""

    ok = "ok"
    warning = "warning"
    """``harness run digits`` works, something else may not."""
    problem = "problem"
    """``harness run digits`` does not work."""


@dataclass(frozen=True)
class Finding:
    """One line of ``harness doctor``.

    Attributes:
        subject: what was looked at.
        verdict: how bad it is.
        found: what was seen.
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
