"""Plugins of every family that ``harness new`` writes, installed: listed, tested and run."""

import json
import os
import subprocess
import sys

import pytest

from harness.plugins.kinds import Kind
from harness.scaffold import Family

BENCHMARK = """
name = "brief"
datasets = ["digits"]
models = ["toy-flow"]
budget = "20 steps"
references = false
[evaluation]
samples = 50
batch_size = 50
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.02
"""


def python(*arguments, site=None, folder=None):
    """Run Python where what is in ``site`` is installed; return what it printed."""
    path = {"PYTHONPATH": str(site)} if site else {}
    answer = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | path | {"OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def installed(folder, shapes):
    """Write and install a plugin of each family or kind; return the site that holds them."""
    for shape in shapes:
        option = "--kind" if isinstance(shape, Kind) else "--family"
        python("-m", "harness", "new", f"toy-{shape}", folder / shape, option, shape)
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", folder / "site"]
    python(*pip, *offline, *(folder / shape for shape in shapes))
    return folder / "site"


def listed(site):
    output = json.loads(python("-m", "harness", "list", "models", "--json", site=site))
    assert not output["broken"] and not output["conflicts"]
    return {model["name"] for model in output["models"]}


def own_tests(site, project):
    # The project's settings, not ours.
    output = python("-m", "pytest", "-q", "-p", "no:cacheprovider", site=site, folder=project)
    assert " passed" in output and "failed" not in output


@pytest.fixture
def outside(tmp_path):
    """A folder in no project of pytest's."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


@pytest.mark.slow
def test_plugins_of_all_families_are_listed_pass_their_own_tests_and_run(outside):
    site = installed(outside, list(Family))
    assert {f"toy-{family}" for family in Family} <= listed(site)
    for family in Family:
        own_tests(site, outside / family)
    (outside / "brief.toml").write_text(BENCHMARK)
    run = ["-m", "harness", "run", "brief.toml", "--tracking", "off"]
    also = [word for family in Family for word in ("--also", f"toy-{family}")]
    python(*run, *also, site=site, folder=outside)
    rows = [
        json.loads(path.read_text()) for path in outside.glob("results/brief/trials/*/row.json")
    ]
    assert {row["label"]: row["status"] for row in rows} == {f"toy-{f}": "ok" for f in Family}


@pytest.mark.slow
def test_plugins_of_other_kinds_pass_their_own_tests_and_checks_and_serve_a_run(outside):
    kinds = [kind for kind in Kind if kind is not Kind.model]
    site = installed(outside, [*kinds, Family.flow])
    for kind in kinds:
        own_tests(site, outside / kind)
        output = python("-m", "harness", "check", f"toy-{kind}", site=site, folder=outside)
        assert " passed" in output
    brief = BENCHMARK.replace('["digits"]', '["toy-dataset"]').replace("references = false", "")
    (outside / "brief.toml").write_text(brief)
    python("-m", "harness", "run", "brief.toml", "--tracking", "off", site=site, folder=outside)
    rows = [
        json.loads(path.read_text()) for path in outside.glob("results/brief/trials/*/row.json")
    ]
    assert {row["status"] for row in rows} == {"ok"}
    assert all(row["metrics"]["toy-metric"]["value"] >= 0 for row in rows)
    written = (outside / "results/brief/report/toy-report.txt").read_text()
    assert "toy-dataset: toy-flow: " in written
