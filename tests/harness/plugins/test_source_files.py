"""The digest of a plugin covers all that may decide what it computes, and nothing of others."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile

import pytest
from support.distributions import install, write

from harness.errors import UserError
from harness.plugins import source_files
from harness.plugins.source_files import PluginFiles, rule_of, source_digest

SOURCES = {
    "zoo/__init__.py": "raise RuntimeError('never executed')",
    "zoo/vae.py": """
        import importlib, json, pathlib
        import torch
        from harness.contract import GenerativeModel
        NETS = importlib.import_module(".nets", __package__)
        RECIPE = json.loads((pathlib.Path(__file__).parent / "recipe.json").read_text())
    """,
    "zoo/nets.py": "SCALE = 0.0",
    "zoo/recipe.json": "{}",
    "zoo/weights/first.bin": "0",
    "zoo/kernel.cpython-311-x86_64-linux-gnu.so": "0",
    "zoo/template": "without a suffix",
    "zoo_nets/__init__.py": "",
    "zoo_nets/blocks.py": "import stranger",
    "zoo_data/table.csv": "0",
    "zoo_tools.py": "",
    "flows/__init__.py": "",
    "flows/flow.py": """
        def build():
            from zoo_nets import mlp; import zoo_tools
            return importlib.import_module("zoo_late.parts"), open("zoo_data/table.csv")
    """,
    "zoo_late/__init__.py": "",
    "zoo_late/parts.py": "def (",
    "unused/__init__.py": "",
}
TARGETS = {"vae": "zoo.vae:VAE", "flow": "flows.flow:build"}
USES = {"vae": {"zoo"}, "flow": {"flows", "zoo_nets", "zoo_tools.py", "zoo_late", "zoo_data"}}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "zoo", SOURCES, {"zoo": "zoo"})
    install(tmp_path, "stranger", {"stranger.py": ""}, {"stranger": "stranger"})
    return tmp_path


def touched(path, *targets):
    """Edit a file, or make it; return which models have another digest for it."""
    chosen = {name: TARGETS[name] for name in targets or TARGETS}
    before = {name: source_digest(target) for name, target in chosen.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write("\n# edited\n")
    importlib.invalidate_caches()
    return {name for name, target in chosen.items() if source_digest(target) != before[name]}


@pytest.mark.parametrize("path", [*SOURCES, "stranger.py"])
def test_any_file_of_a_package_that_a_model_uses_changes_its_digest_and_no_other(site, path):
    expected = {name for name, packages in USES.items() if path.split("/")[0] in packages}
    assert touched(site / path) == expected


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("zoo/new/config.yaml", True),
        ("zoo/__pycache__/vae.cpython-311.pyc", False),
        ("zoo/legacy.pyc", True),
        ("zoo/.vae.py.swp", False),
        ("zoo/.git/HEAD", False),
        ("zoo/vae.py~", False),
    ],
)
def test_a_new_file_counts_unless_python_or_an_editor_left_it(site, path, counts):
    assert touched(site / path) == ({"vae"} if counts else set())


def test_results_within_a_package_do_not_count(site):
    """They grow while trials run, where somebody works in the folder of the package."""
    before = source_digest(TARGETS["vae"])
    write(site, {"zoo/results/mine/benchmark.toml": "", "zoo/results/mlflow.db": ""})
    (site / "zoo/results/mine/trials").mkdir()
    assert source_digest(TARGETS["vae"]) == before


def test_a_linked_folder_counts_and_a_circle_of_links_ends(site, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "big.bin").write_text("0")
    (site / "zoo/linked").symlink_to(elsewhere)
    (site / "zoo/circle").symlink_to(site / "zoo")
    (site / "zoo/gone").symlink_to(site / "nowhere")
    os.mkfifo(site / "zoo/pipe")
    assert touched(elsewhere / "big.bin") == {"vae"}


def test_a_module_that_no_installer_put_there_counts_where_it_is_imported(site, tmp_path_factory):
    """No version tells of a change in a folder on PYTHONPATH, or in an editable installation."""
    with open(site / "zoo/nets.py", "a") as file:
        file.write("\nimport loose, fixed\n")
    loose, fixed = tmp_path_factory.mktemp("loose"), tmp_path_factory.mktemp("fixed")
    write(loose, {"loose/__init__.py": "", "loose/deep/net.txt": "0"})
    install(fixed, "fixed", {"fixed/__init__.py": ""})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(loose)
        patch.syspath_prepend(fixed)
        assert touched(loose / "loose/deep/net.txt") == {"vae"}
        assert touched(fixed / "fixed/__init__.py") == set()


def test_a_distribution_without_a_record_is_what_lies_beside_it(tmp_path, monkeypatch):
    """It is found through PYTHONPATH, by nothing but its metadata."""
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, "zoo", SOURCES, {"zoo": "zoo"})
    (tmp_path / "zoo-1.0.dist-info/RECORD").unlink()
    assert touched(tmp_path / "zoo/recipe.json") == {"vae"}
    assert touched(tmp_path / "zoo_late/parts.py") == {"flow"}
    assert touched(tmp_path / "unused/__init__.py") == set()


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
    assert touched(project / "src/zoo_nets/blocks.py") == {"flow"}
    assert touched(others / "stranger.py") == set()


def test_files_that_a_distribution_puts_elsewhere_count(site):
    """As an installer puts data of it into the environment's share."""
    record = site / "zoo-1.0.dist-info/RECORD"
    record.write_text(f"{record.read_text()}../share/zoo/table,,\n../bin/zoo,,\n")
    share = site.parent / "share/zoo/table"
    write(site.parent, {"share/zoo/table": "0", "bin/zoo": "0"})
    assert touched(share) == {"vae", "flow"}
    assert touched(site.parent / "bin/zoo") == set()


def test_a_namespace_package_is_our_part_of_it_where_others_have_theirs(site):
    install(site, "lab", {"shared/ours/model.py": ""}, {"lab": "shared.ours.model"})
    install(site, "other-lab", {"shared/theirs/model.py": ""}, {"other": "shared.theirs.model"})
    found = PluginFiles("shared.ours.model:Model").files()
    assert list(found) == ["shared/ours/model.py"]


def test_a_plugin_in_an_archive_is_the_archive(tmp_path, monkeypatch):
    archive = tmp_path / "zipped.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("zipped/__init__.py", "")
        file.writestr("zipped/model.py", "")
    monkeypatch.syspath_prepend(archive)
    assert list(PluginFiles("zipped:Model").files().values()) == [archive]


def test_the_target_counts(site):
    assert source_digest("zoo.vae:VAE") != source_digest("zoo.vae:Other")


def test_renaming_a_module_changes_the_digest(site):
    before = source_digest("zoo_nets.blocks:X")
    (site / "zoo_nets/blocks.py").rename(site / "zoo_nets/cubes.py")
    importlib.invalidate_caches()
    assert source_digest("zoo_nets.cubes:X") != before
    with pytest.raises(UserError, match="zoo_nets.blocks"):
        source_digest("zoo_nets.blocks:X")


def test_a_large_file_is_read_once_until_it_changes(site, monkeypatch):
    monkeypatch.setattr(source_files, "LARGE", 1)
    read = []
    monkeypatch.setattr(
        source_files.hashlib, "file_digest", lambda *a: read.append(1) or hashed(*a)
    )
    files = PluginFiles("zoo_tools:X")
    (site / "zoo_tools.py").write_text("weights = 1")
    first = files.digest()
    assert files.digest() == first and len(read) == 1
    (site / "zoo_tools.py").write_text("weights = 2")
    assert files.digest() != first and len(read) == 2


hashed = source_files.hashlib.file_digest


@pytest.mark.parametrize("family", ["harness_gan", "harness_flow"])
def test_the_harness_itself_is_left_out_and_so_are_other_families(family):
    """One family is one package: a change in one leaves the rows of the others as they are."""
    found = PluginFiles(f"{family}:Model").packages.keys()
    assert family in found and found <= {family, "harness_nets"}


def test_a_digest_shows_its_rule():
    assert rule_of(source_digest("harness_gan.dcgan:DCGAN")) == source_files.RULE == 2
    assert rule_of("0" * 64) == 1


def test_digests_are_taken_without_importing_torch(site):
    code = (
        "import sys; from harness.plugins.source_files import source_digest;"
        "from harness.plugins.provenance import record_environment;"
        "record_environment(); source_digest('zoo.vae:VAE'); print(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=site, capture_output=True, text=True, check=True
    )
    assert {"torch", "zoo"}.isdisjoint(answer.stdout.split())
