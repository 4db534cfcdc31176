import importlib
import platform
import shutil

import pytest

from harness.doctor import software
from harness.doctor.finding import Severity


def unmet(monkeypatch, *lines, **installed):
    """Return what is found wrong where only ``installed`` is, of what ``lines`` ask for."""
    monkeypatch.setattr(software, "requires", lambda _: list(lines))

    def version(name):
        if name not in installed:
            raise software.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(software, "version", version)
    return software.requirement_findings()


def test_this_python_will_do():
    assert software.python_finding().verdict is Severity.ok


def test_an_old_python_will_not(monkeypatch):
    monkeypatch.setattr(platform, "python_version", lambda: "3.10.14")
    finding = software.python_finding()
    assert finding.verdict is Severity.problem
    assert finding.found == "3.10.14, not >=3.11"
    assert finding.remedy == "install Python >=3.11"


def test_requirements_that_are_met(monkeypatch):
    lines = ("torch>=2.11", "pytest>=8; extra == 'test'", "mlflow>=3.4")
    [finding] = unmet(monkeypatch, *lines, torch="2.15.0+cu132", genharness="0.1.0")
    assert finding.verdict is Severity.ok
    assert finding.found == "all of genharness 0.1.0 are met"


def test_a_missing_requirement(monkeypatch):
    [finding] = unmet(monkeypatch, "scikit-learn>=1.5", genharness="0.1.0")
    assert (finding.subject, finding.verdict) == ("scikit-learn", Severity.problem)
    assert finding.remedy == "pip install 'scikit-learn>=1.5'"


def test_an_outdated_requirement(monkeypatch):
    [finding] = unmet(monkeypatch, "torch>=2.11", "numpy>=2", torch="2.4.1", numpy="2.1")
    assert (finding.subject, finding.verdict) == ("torch", Severity.problem)
    assert finding.found == "2.4.1, not >=2.11"


@pytest.mark.parametrize("broken", ["torch", "torchvision"])
def test_libraries_of_torch_that_cannot_be_imported(monkeypatch, broken):
    real = importlib.import_module

    def fake(name):
        if name == broken:
            raise RuntimeError("operator torchvision::nms does not exist")
        return real(name)

    monkeypatch.setattr(importlib, "import_module", fake)
    findings = {finding.subject: finding for finding in software.torch_findings()}
    bad, [good] = findings.pop(broken), findings.values()
    assert bad.verdict is Severity.problem and good.verdict is Severity.ok
    assert "RuntimeError: operator torchvision::nms does not exist" in bad.found
    assert "pip install --force-reinstall torch torchvision" in bad.remedy


@pytest.mark.parametrize("tools", [(), ("git",), ("g++",), ("git", "clang++")])
def test_tools(monkeypatch, tools):
    monkeypatch.setattr(shutil, "which", lambda name: name if name in tools else None)
    git, compiler = software.tool_findings()
    assert (git.verdict is Severity.ok) == ("git" in tools)
    assert (compiler.verdict is Severity.ok) == bool({"g++", "clang++"} & set(tools))
    assert git.verdict is Severity.ok or git.remedy == "install git"
    assert compiler.verdict is Severity.ok or "compile = true" in compiler.found
