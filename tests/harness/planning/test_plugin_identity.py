"""The plugins that run are those that were planned, from before their import to the trial's end."""

import importlib
import os
import sys
import types

import pytest
import torch
from support.distributions import install

from harness import api
from harness.features.cache import VARIABLE
from harness.machine.heartbeat import Heartbeat
from harness.machine.process_state import GENERATORS, SETTINGS, unchanged
from harness.planning import plugin_identity
from harness.planning.plugin_identity import PlannedPlugins, PluginChanged
from harness.planning.trial import Trial
from harness.plugins import registry
from harness.plugins.source_files import PluginFiles
from harness.plugins.unhashed_modules import unhashed_modules
from harness.training.ledger import Ledger
from harness.worker.failure import diagnose
from harness.worker.trial_run import TrialRun

CPU = torch.device("cpu")
SOURCES = {
    "edited/__init__.py": """
        from harness.hooks import ModelInfo, hookimpl

        @hookimpl
        def harness_models():
            return [ModelInfo("edited", "a test model", "edited.model:Edited", type="toy")]
    """,
    "edited/model.py": """
        import pathlib
        from support.faulty_plugin import Steady

        WEIGHTS = pathlib.Path(__file__).parent / "weights.bin"

        class Edited(Steady):
            def training_step(self, batch, progress):
                # As somebody would, who works on it meanwhile.
                if 0.5 < progress < 0.6:
                    WEIGHTS.write_text("others")
                return super().training_step(batch, progress)
    """,
    "edited/weights.bin": "some",
    "ruler.py": """
        from harness.hooks import MetricInfo, hookimpl
        from harness.metrics.base import SampleMetric

        class Ruler(SampleMetric):
            def update(self, features):
                pass

            def compute(self):
                return 0.0

        @hookimpl
        def harness_metrics():
            return [MetricInfo("ruler", "a test metric", "ruler:Ruler")]
    """,
}
BENCHMARK = """name = "mine"
datasets = ["digits"]
models = ["edited"]
budget = "24 steps"
references = false
[evaluation]
samples = 50
batch_size = 50
features = "pixels"
metrics = ["fid"]
curve = []
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.01
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on the path with the plugin; what is imported from it is forgotten again."""
    folder = tmp_path / "site"
    install(folder, "edited", SOURCES, {"edited": "edited", "ruler": "ruler"})
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(folder)
    registry._installed.cache_clear()
    with unchanged((*SETTINGS, *GENERATORS)):
        yield folder
    registry._installed.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("edited", "ruler")]:
        del sys.modules[name]


def plan(site, old="", new=""):
    path = site.parent / "mine.toml"
    path.write_text(BENCHMARK.replace(old, new))
    return api.plan(str(path), site.parent / "results")


def test_files_that_change_while_a_trial_trains_end_it(site):
    """At the next checkpoint, so that none holds what other code has trained."""
    planned = plan(site)
    planned.store.prepare()
    (trial,) = planned.trials
    folder = planned.store.begin(trial)
    run = TrialRun(trial, folder, registry.registry(), CPU, Ledger(), Heartbeat(folder))
    with pytest.raises(PluginChanged, match=r"while the trial ran: edited/weights.bin; run again"):
        run.run()
    assert not (folder / "checkpoint.pt").exists()
    assert diagnose(run.plugins.cause(ValueError()), CPU, folder)[0] == "error"


def change(path, text, then=None):
    """Write a file, and perhaps what was in it again; times differ even on a coarse clock."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    if then is not None:
        path.write_text(then)
    os.utime(path, ns=(before + 10**9, before + 10**9))


CHANGES = {
    "edited": lambda site: change(site / "edited/model.py", "# another"),
    "edited and put back": lambda site: change(
        site / "edited/weights.bin", "others", SOURCES["edited/weights.bin"]
    ),
    "added": lambda site: change(site / "edited/recipe.json", "{}"),
    "removed": lambda site: (site / "edited/weights.bin").unlink(),
    "another version": lambda site: (site / "edited-1.0.dist-info").rename(
        site / "edited-2.0.dist-info"
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_before_or_while_a_trial_runs_is_noticed(site, monkeypatch, name):
    (trial,) = plan(site).trials
    plugins = PlannedPlugins(trial, registry.registry())
    plugins.begin()
    plugins.check_all()
    assert isinstance(plugins.cause(ValueError()), ValueError)
    CHANGES[name](site)
    if name == "another version":
        metadata = site / "edited-2.0.dist-info/METADATA"
        metadata.write_text(metadata.read_text().replace("1.0", "2.0"))
        importlib.invalidate_caches()
    else:
        with pytest.raises(PluginChanged, match="written while the trial ran: edited/"):
            plugins.check()
        assert isinstance(plugins.cause(ValueError()), PluginChanged)
    with pytest.raises(PluginChanged):
        plugins.check_all()
    # The next trial begins after the change.
    if name == "edited and put back":
        PlannedPlugins(trial, registry.registry()).begin()
        return
    with pytest.raises(PluginChanged, match="'edited' is not the one that was planned"):
        registry._installed.cache_clear()
        PlannedPlugins(trial, registry.registry()).begin()


def test_a_library_that_changes_is_noticed(site, monkeypatch):
    (trial,) = plan(site).trials
    plugins = PlannedPlugins(trial, registry.registry())
    plugins.begin()
    monkeypatch.setattr(plugin_identity, "libraries", lambda name: {"zuko": "2.0"})
    with pytest.raises(PluginChanged, match="libraries zuko 2.0, not None"):
        plugins.check_all()


def test_metrics_of_other_distributions_are_part_of_the_identity(site):
    """The version of the measurement's protocol speaks for none but the harness's own."""
    (without,) = plan(site).trials
    (trial,) = plan(site, 'metrics = ["fid"]', 'metrics = ["ruler"]').trials
    assert "measurement" not in without.plugin
    assert trial.plugin["measurement"].startswith("ruler of edited 1.0 (2:")
    plugins = PlannedPlugins(trial, registry.registry())
    plugins.begin()
    change(site / "ruler.py", SOURCES["ruler.py"] + "\n# edited\n")
    with pytest.raises(PluginChanged, match="ruler.py"):
        plugins.check()
    (edited,) = plan(site, 'metrics = ["fid"]', 'metrics = ["ruler"]').trials
    assert edited.id != trial.id
    row = trial.row("ok")
    assert Trial.of(row).id == row.trial


def test_modules_that_nothing_identifies_are_named(site, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path / "vendored")
    install(tmp_path / "fixed", "fixed", {"fixed.py": ""})
    monkeypatch.syspath_prepend(tmp_path / "fixed")
    for path in ("vendored/nets/__init__.py", "vendored/nets/deep.py", "site/edited/late.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    before = set(sys.modules)
    files = [PluginFiles("edited.model:Edited")]
    for name in ("nets.deep", "edited.late", "fixed", "colorsys"):
        importlib.import_module(name)
    for name in ("generated", "edited.generated", "_cython_9"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    try:
        assert unhashed_modules(files, before) == ["generated", "nets"]
        assert unhashed_modules(files, {*before, "nets", "nets.deep"}) == ["generated"]
    finally:
        for name in ("nets.deep", "nets", "fixed"):
            del sys.modules[name]
