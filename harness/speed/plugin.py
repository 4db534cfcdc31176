"""Options of the suite, for pytest: seen only where the suite is asked for by its name."""

from __future__ import annotations

import pytest

SUITE = "harness.speed"


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add --model and its like, unless another project's tests are being run."""
    config = pluginmanager.get_plugin("pytestconfig")
    arguments = config.invocation_params.args if config else ()
    if SUITE not in (str(argument).partition("::")[0] for argument in arguments):
        return
    group = parser.getgroup(SUITE, "sampling speed of models")
    group.addoption(
        "--model", action="append", default=[], help="Model to time; repeatable; all by default."
    )
    group.addoption("--dataset", default="digits", help="Whose images are sampled.")
    group.addoption(
        "--batch-size", action="append", type=int, default=[], help="Repeatable; 1 and 64."
    )
    group.addoption("--device", default="cpu", help="cpu or a CUDA device.")
