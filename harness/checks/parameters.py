"""The checks as parameters of a test, for the suites of plugin authors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from harness.checks import NotApplicable, checks_for
from harness.checks.outcome import BoundCheck
from harness.checks.own_data import default_data
from harness.contract import DataSpec, GenerativeModel
from harness.errors import did_you_mean


def pytest_parameters(
    model_class: type[GenerativeModel],
    spec: DataSpec | None = None,
    expected_failures: Mapping[str, str] | None = None,
    **overrides: Any,
) -> list[Any]:
    """Return functions without arguments, one per check, for ``pytest.mark.parametrize``.

    Each runs one check, or skips it where it does not apply.

    Args:
        model_class: the model.
        spec: what it is built for; small data of the kinds that it makes and takes if None.
        expected_failures: why a check fails, by its name: a strict xfail, so that a check which
            passes again is reported.
        overrides: hyper-parameters other than the recipe's.

    Raises:
        ValueError: an expected failure names no check.
    """
    import pytest

    spec = spec or default_data(model_class)
    expected = dict(expected_failures or {})
    checks = checks_for(model_class)
    names = [check.name for check in checks]
    for name in expected:
        if name not in names:
            hint = did_you_mean(name, names) or f"; there are: {', '.join(names)}"
            raise ValueError(f"expected_failures: {name!r} is not a check of this model{hint}")

    def marks(name: str) -> list[pytest.MarkDecorator]:
        if name not in expected:
            return []
        return [pytest.mark.xfail(reason=expected[name], strict=True)]

    return [
        pytest.param(
            _skipping(partial(check.run, spec, **overrides)),
            id=check.name,
            marks=marks(check.name),
        )
        for check in checks
    ]


def parameters_of(checks: Iterable[BoundCheck]) -> list[Any]:
    """Return the same for the checks of a data set, a metric or a report."""
    import pytest

    return [pytest.param(_skipping(check.run), id=check.name) for check in checks]


def _skipping(run: Callable[[], object]) -> Callable[[], None]:
    """Return a test that is skipped where the check does not apply."""

    def run_check() -> None:
        import pytest

        try:
            run()
        except NotApplicable as reason:
            pytest.skip(str(reason))

    return run_check
