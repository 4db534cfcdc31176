"""Which plugins may load: the others are not even imported, in no process."""

import os
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from support.distributions import install, models_plugin

from harness.errors import UserError
from harness.plugins.provenance import record_environment
from harness.plugins.registry import Registry, _chosen, allowed_plugins

TELLTALE = """
from pathlib import Path
Path(__file__).with_name("imported").touch()
"""


@pytest.fixture
def site(tmp_path):
    """Two distributions; importing the second leaves a file behind."""
    install(tmp_path, "good-one", {"good_one.py": models_plugin("good")}, {"fine": "good_one"})
    install(tmp_path, "telltale", {"telltale.py": TELLTALE}, {"spy": "telltale"})
    return tmp_path


def harness(site, *arguments, **variables):
    """Run the command line where the two are installed; return its exit code and what it said."""
    environment = os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"} | variables
    command = [sys.executable, "-m", "harness", *arguments]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    return answer.returncode, answer.stdout + answer.stderr


def test_a_plugin_that_may_not_load_is_never_imported(site):
    code, output = harness(site, "--plugins", "genharness,good-one", "list", "models")
    assert code == 0 and "good " in output and "vae " in output
    assert not (site / "imported").exists()
    code, output = harness(site, "list", "models", GENHARNESS_PLUGINS="fine")
    assert code == 0 and "good " in output and "vae " not in output
    assert not (site / "imported").exists()
    harness(site, "list", "models")
    assert (site / "imported").exists(), "the telltale tells nothing"


CHILD = """
import os
from harness.plugins.registry import registry
print("models:", sorted(registry().models), "strict:", os.environ["GENHARNESS_STRICT"])
"""
DRIVER = f"""
import subprocess, sys
import harness.launchers.local
from harness.cli import main

def run(self, agenda):
    sys.exit(subprocess.run([sys.executable, "-c", {CHILD!r}]).returncode)

harness.launchers.local.LocalLauncher.run = run
main()
"""


def test_what_a_run_starts_knows_of_it(site, tmp_path):
    """Workers inherit the environment of the command that starts them."""
    answer = subprocess.run(
        [sys.executable, "-c", DRIVER, "--strict", "--plugins", "genharness,fine", "run"]
        + ["digits-smoke", "--tracking", "off", "--results", str(tmp_path / "results")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
    )
    assert answer.returncode == 0, answer.stderr
    assert "'good'" in answer.stdout and "strict: 1" in answer.stdout
    assert not (site / "imported").exists()


def test_names_are_of_distributions_or_of_entry_points(site, monkeypatch):
    monkeypatch.syspath_prepend(site)
    points = entry_points(group="harness")

    def chosen(*names):
        return sorted(point.name for point in _chosen(points, names))

    assert chosen("good-one") == chosen("Good_One") == chosen("fine") == ["fine"]
    assert {"gan", "datasets", "metrics"} < set(chosen("genharness"))
    assert chosen("gan", "fine") == ["fine", "gan"]
    assert set(Registry(_chosen(points, ["fine"])).models) == {"good"}
    with pytest.raises(UserError, match=r"'gam' \(did you mean 'gan'\?\)"):
        chosen("gam")
    with pytest.raises(UserError, match="is empty"):
        chosen()


def test_the_environment_of_a_result_shows_what_could_load(monkeypatch):
    monkeypatch.setenv("GENHARNESS_PLUGINS", "")
    assert allowed_plugins() is None and record_environment()["plugins"] is None
    monkeypatch.setenv("GENHARNESS_PLUGINS", "good-one, genharness,")
    assert record_environment()["plugins"] == ("genharness", "good-one")
