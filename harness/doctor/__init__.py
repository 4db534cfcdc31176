"""What works on this machine, and how to fix what does not.

Nothing is trained, downloaded or written.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from harness.doctor.finding import Finding, Severity, ok, problem
from harness.errors import UserError

__all__ = ["Finding", "Severity", "examine"]

BENCHMARK = "digits"


def examine(results: Path) -> Iterator[Finding]:
    """Check everything that trials need, with results in ``results``."""
    from harness.doctor.software import (
        python_finding,
        requirement_findings,
        tool_findings,
        torch_findings,
    )

    yield python_finding()
    yield from (required := requirement_findings())
    yield from (imported := torch_findings())
    yield from tool_findings()
    if any(finding.verdict is Severity.problem for finding in (*required, *imported)):
        # Nearly everything else would fail for the same reason.
        yield problem("the rest", "was not checked", "fix the problems above first")
        return
    yield from _machine_findings(results)
    yield from _plugin_findings(results)


def _machine_findings(results: Path) -> Iterator[Finding]:
    from harness.doctor import machine
    from harness.doctor.tracking import tracking_findings

    yield from machine.device_findings()
    yield machine.processor_finding()
    yield machine.memory_finding()
    yield machine.results_finding(results)
    yield machine.cache_finding()
    yield from tracking_findings(results)


def _plugin_findings(results: Path) -> Iterator[Finding]:
    from harness.doctor import plugins
    from harness.plugins.registry import registry

    found = registry()
    yield from plugins.plugin_findings(found)
    yield from plugins.target_findings(found)
    yield from plugins.dataset_findings(found)
    yield from plugins.feature_findings(found)
    yield benchmark_finding(results)


def benchmark_finding(results: Path) -> Finding:
    """Plan the benchmark of digits, which loads its images, features and models."""
    from harness.api import plan

    subject = f"benchmark {BENCHMARK}"
    try:
        trials = plan(BENCHMARK, results).trials
    except UserError as error:
        return problem(subject, f"cannot be planned: {error}", "fix that")
    except Exception as error:
        # A damaged installation may raise anything.
        seen = f"cannot be planned: {type(error).__name__}: {error}"
        return problem(subject, seen, "install genharness again")
    return ok(subject, f"can be run, {len(trials)} trials: harness run {BENCHMARK}")
