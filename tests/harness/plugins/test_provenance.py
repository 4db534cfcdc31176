from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.distributions import install

from harness.plugins import provenance
from harness.plugins.provenance import libraries, record_environment


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "zoo", {}, {"zoo": "zoo"})
    return tmp_path


def test_a_plugin_is_identified_by_the_libraries_that_it_alone_requires(site):
    requirements = [
        "genharness>=0.1",
        "torch>=2.11",  # the harness's own
        "Stran_ger[fast]>=1; python_version > '3'",
        "elsewhere; sys_platform == 'none'",
        "pytest; extra == 'test'",
    ]
    install(site, "stran-ger", {})
    with open(site / "zoo-1.0.dist-info/METADATA", "a") as metadata:
        metadata.writelines(f"Requires-Dist: {line}\n" for line in requirements)
    assert libraries("zoo") == {"stran-ger": "1.0"}
    assert libraries("stranger") == libraries("genharness") == libraries("none") == {}


def test_the_environment_names_packages_and_command(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["harness", "run", "digits"])
    facts = record_environment()
    assert {"genharness", "pluggy", "torch"} <= facts["packages"].keys()
    assert facts["command"] == ["harness", "run", "digits"]
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["time"].endswith("+00:00")


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_that_of_the_tree_which_tracks_the_harness(tmp_path, monkeypatch):
    package = tmp_path / "package"
    package.mkdir()
    copy = package / "provenance.py"
    copy.write_text(Path(provenance.__file__).read_text())
    monkeypatch.setattr(provenance, "__file__", str(copy))

    def recorded():
        return record_environment()["commit"], record_environment()["dirty"]

    assert recorded() == (None, None)
    git(tmp_path, "init", "-q")
    (tmp_path / "README").write_text("")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-q", "-m", "not the package")
    assert recorded() == (None, None)
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-q", "-m", "the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert recorded() == (head, False)
    (tmp_path / "untracked").write_text("")
    assert recorded() == (head, False)
    (tmp_path / "README").write_text("edited")
    assert recorded() == (head, True)
