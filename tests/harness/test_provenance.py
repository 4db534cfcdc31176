from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.distributions import install, write

from harness import provenance
from harness.errors import UserError
from harness.provenance import environment, libraries, source_digest

SOURCES = {
    "zoo/__init__.py": "raise RuntimeError('never executed')",
    "zoo/vae.py": """
        import json
        import torch
        from harness.contract import GenerativeModel
        from zoo_nets.unet import UNet
        from . import losses
        from .numerics import deep as _deep
    """,
    "zoo/flow.py": """
        def build():
            import zoo_nets.mlp
    """,
    "zoo/losses.py": "from zoo import constants",
    "zoo/constants.py": "",
    "zoo/numerics/__init__.py": "from zoo.numerics.deep import deep",
    "zoo/numerics/deep.py": "import zoo.vae",  # a circle
    "zoo/unused.py": "",
    "zoo_nets/__init__.py": "",
    "zoo_nets/unet.py": "from .blocks import *",
    "zoo_nets/blocks.py": "",
    "zoo_nets/mlp.py": "import stranger",
}
VAE = {
    "zoo/vae.py",
    "zoo/losses.py",
    "zoo/constants.py",
    "zoo/numerics/deep.py",
    "zoo_nets/unet.py",
    "zoo_nets/blocks.py",
}
FLOW = {"zoo/flow.py", "zoo_nets/mlp.py"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "zoo", SOURCES, {"zoo": "zoo"})
    install(tmp_path, "stranger", {"stranger.py": ""}, {"stranger": "stranger"})
    return tmp_path


def touched(site, path):
    """Edit a file, and return which models have another digest for it."""
    targets = {"vae": "zoo.vae:VAE", "flow": "zoo.flow:build"}
    before = {name: source_digest(target) for name, target in targets.items()}
    with open(site / path, "a") as file:
        file.write("\n# edited\n")
    return {name for name, target in targets.items() if source_digest(target) != before[name]}


@pytest.mark.parametrize("path", [*SOURCES, "stranger.py"])
def test_editing_a_file_changes_the_models_that_use_it_and_no_other(site, path):
    expected = {name for name, files in (("vae", VAE), ("flow", FLOW)) if path in files}
    assert touched(site, path) == expected


def test_a_name_that_a_package_defines_brings_its_init(site):
    (site / "zoo/flow.py").write_text("from zoo.numerics import SCALE")
    assert touched(site, "zoo/numerics/__init__.py") == {"flow"}
    assert touched(site, "zoo/numerics/deep.py") == {"flow", "vae"}


def test_renaming_a_module_changes_the_digest(site):
    before = source_digest("zoo_nets.blocks:X")
    (site / "zoo_nets/blocks.py").rename(site / "zoo_nets/cubes.py")
    importlib.invalidate_caches()
    assert source_digest("zoo_nets.cubes:X") != before
    with pytest.raises(UserError, match="zoo_nets.blocks"):
        source_digest("zoo_nets.blocks:X")


def test_an_editable_installation_is_one_distribution(tmp_path, monkeypatch):
    project = tmp_path / "project"
    write(project / "src", SOURCES)
    others = project / ".venv/lib/python3/site-packages"
    install(others, "stranger", {"stranger.py": ""})
    site = tmp_path / "site"
    install(site, "zoo", {}, {"zoo": "zoo"})
    record = {"url": project.as_uri(), "dir_info": {"editable": True}}
    (site / "zoo-1.0.dist-info/direct_url.json").write_text(json.dumps(record))
    for folder in (site, project / "src", others):
        monkeypatch.syspath_prepend(folder)
    assert touched(project / "src", "zoo_nets/blocks.py") == {"vae"}
    assert touched(others, "stranger.py") == set()


def test_a_file_that_is_no_python_is_hashed_all_the_same(site):
    (site / "zoo/flow.py").write_text("def (")
    assert touched(site, "zoo/flow.py") == {"flow"}


def test_the_harness_itself_is_left_out():
    files = provenance._sources("harness.metrics.base")
    assert list(files) == ["harness.metrics.base"]


def test_digests_are_taken_without_importing_torch(site):
    code = (
        "import sys; from harness.provenance import source_digest, environment;"
        "environment(); source_digest('zoo.vae:VAE'); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=site, capture_output=True, text=True, check=True
    )
    assert {"torch", "zoo"}.isdisjoint(answer.stdout.split())


def test_a_plugin_is_told_by_the_libraries_that_it_alone_requires(site):
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
    facts = environment()
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

    def told():
        return environment()["commit"], environment()["dirty"]

    assert told() == (None, None)
    git(tmp_path, "init", "-q")
    (tmp_path / "README").write_text("")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-q", "-m", "not the package")
    assert told() == (None, None)
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-q", "-m", "the package")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert told() == (head, False)
    (tmp_path / "untracked").write_text("")
    assert told() == (head, False)
    (tmp_path / "README").write_text("edited")
    assert told() == (head, True)
