"""Options of the suite for pytest, registered only if the suite is named on the command line."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

SUITE = "harness.speed"


def asked_for(arguments: Sequence[object]) -> bool:
    """Return whether the command line names the suite, or a test in it."""
    return SUITE in (str(argument).partition("::")[0] for argument in arguments)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add --model and related options, unless another project's tests are being run."""
    config = pluginmanager.get_plugin("pytestconfig")
    if not asked_for(config.invocation_params.args if config else ()):
        return
    group = parser.getgroup(SUITE, "sampling speed of models")
    group.addoption(
        "--model", action="append", default=[], help="Model to time; repeatable; all by default."
    )
    group.addoption("--dataset", default="digits", help="Data set whose image size is sampled.")
    group.addoption(
        "--batch-size", action="append", type=int, default=[], help="Repeatable; 1 and 64."
    )
    group.addoption("--device", default="cpu", help="cpu or a CUDA device.")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Enable timing, also in a project whose settings skip benchmarks."""
    arguments = config.invocation_params.args
    if asked_for(arguments) and "--benchmark-skip" not in arguments:
        config.option.benchmark_skip = False
