"""Python, the packages that genharness requires, torch, and tools that some features need."""

from __future__ import annotations

import importlib
import platform
import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from harness.doctor.finding import Finding, ok, problem, warning

DISTRIBUTION = "genharness"
# Trials run without it; it is checked together with its store.
_DISPENSABLE = "mlflow"
_COMPILERS = ("c++", "g++", "clang++")


def python_finding() -> Finding:
    """Compare Python's version with what the package's metadata ask for."""
    wanted = SpecifierSet(metadata(DISTRIBUTION)["Requires-Python"])
    found = platform.python_version()
    if wanted.contains(found, prereleases=True):
        return ok("Python", found)
    return problem("Python", f"{found}, not {wanted}", f"install Python {wanted}")


def requirement_findings() -> list[Finding]:
    """Compare installed versions with what the package's metadata ask for."""
    unmet = list(_unmet_requirements())
    return unmet or [ok("requirements", f"all of {DISTRIBUTION} {version(DISTRIBUTION)} are met")]


def _unmet_requirements() -> Iterator[Finding]:
    for requirement in map(Requirement, requires(DISTRIBUTION) or ()):
        wanted = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if not wanted or requirement.name == _DISPENSABLE:
            continue
        remedy = f"pip install '{requirement.name}{requirement.specifier}'"
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield problem(requirement.name, "is not installed", remedy)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            yield problem(requirement.name, f"{found}, not {requirement.specifier}", remedy)


def torch_findings() -> list[Finding]:
    """Import torch and torchvision, which fail where they were built for different machines."""
    remedies = {
        "torch": "pip install --force-reinstall torch torchvision",
        "torchvision": "install torch and torchvision together, from one source: "
        "pip install --force-reinstall torch torchvision",
    }
    return [_import_finding(name, remedy) for name, remedy in remedies.items()]


def _import_finding(name: str, remedy: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except Exception as error:
        # Libraries that were built for another machine raise all kinds of errors.
        return problem(name, f"cannot be imported: {type(error).__name__}: {error}", remedy)
    return ok(name, module.__version__)


def tool_findings() -> list[Finding]:
    """Look for optional programs."""
    findings = []
    if shutil.which("git"):
        findings.append(ok("git", "there"))
    else:
        lost = "not found: rows do not record their git commit"
        findings.append(warning("git", lost, "install git"))
    if any(map(shutil.which, _COMPILERS)):
        findings.append(ok("C++ compiler", "there"))
    else:
        lost = "not found: benchmarks with 'compile = true' cannot run on a CPU"
        findings.append(warning("C++ compiler", lost, "install g++ or clang++"))
    return findings
