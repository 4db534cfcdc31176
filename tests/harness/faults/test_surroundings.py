"""Everything global that a plugin may change is put back, and only what it changed is told."""

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings

import numpy as np
import pytest
import torch
from support.distributions import install
from support.faulty_plugin import disturb
from support.forked_worker import fork
from support.stored import TRIAL

from harness import api
from harness.cli import _options
from harness.launchers import Observer
from harness.machine.process_state import ENVIRONMENT, GENERATORS, SETTINGS, ProcessState, unchanged
from harness.plugins import registry
from harness.plugins.guard import PluginGuard

CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "filling of fresh memory": lambda: setattr(
        torch.utils.deterministic,
        "fill_uninitialized_memory",
        not torch.utils.deterministic.fill_uninitialized_memory,
    ),
    "autocast": lambda: torch.set_autocast_enabled("cpu", True),
    "flushing of denormals": lambda: torch.set_flush_denormal(True),
    "precision of products": lambda: torch.set_float32_matmul_precision("high"),
    "kernels": lambda: torch.backends.cuda.enable_flash_sdp(False),
    "numpy's errors": lambda: np.seterr(all="raise"),
    "warnings that are errors": lambda: warnings.simplefilter("error"),
    "disabled logging": lambda: logging.disable(logging.CRITICAL),
    "import path": lambda: sys.path.insert(0, ""),
    "start method": lambda: multiprocessing.set_start_method("forkserver", force=True),
    "recursion limit": lambda: sys.setrecursionlimit(9999),
    "switch interval": lambda: sys.setswitchinterval(0.5),
    "garbage collection": gc.disable,
    "CPUs": lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}),
    "convolutions": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "working directory": lambda: os.chdir("/"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "signal handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
}


DRAWS = {
    "random numbers of Python": lambda: random.seed(0),
    "random numbers of numpy": lambda: np.random.seed(0),
    "random numbers of torch": lambda: torch.manual_seed(0),
    "environment": lambda: os.environ.update(OF_A_PLUGIN="secret"),
}
"""What is put back of an import and of an event, too."""
EVERYTHING = {setting.name: setting for setting in (*SETTINGS, *GENERATORS, ENVIRONMENT)}


def state():
    return {name: setting.read() for name, setting in EVERYTHING.items()}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch, tmp_path):
    """Hold every test to leaving things as they were."""
    monkeypatch.chdir(tmp_path)
    # The path is put back by the fixture that the tests change it with, after this one.
    watched = [setting for setting in SETTINGS if setting.name != "import path"]
    before = [setting.read() for setting in watched]
    yield
    assert [setting.read() for setting in watched] == before


def test_there_is_a_change_for_every_setting():
    assert {*CHANGES, *DRAWS} == EVERYTHING.keys()


@pytest.mark.parametrize("name", [*CHANGES, *DRAWS])
def test_one_change_is_put_back_and_reported_alone(name):
    before, process_state = state(), ProcessState(tuple(EVERYTHING.values()))
    (CHANGES | DRAWS)[name]()
    changed = state()
    if name in ("locale", "CPUs") and changed == before:
        pytest.skip("it is so already")
    assert changed[name] != before[name]
    message = EVERYTHING[name].describe(before[name], changed[name])
    assert process_state.restore() == {name: message}
    assert "secret" not in message and len(message) < 500
    assert state() == before
    assert process_state.restore() == {}


def test_a_folder_that_a_plugin_puts_on_the_path_comes_last(monkeypatch, tmp_path):
    """So its modules are found, and stand for nothing else; what means the current folder goes."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, process_state = list(sys.path), ProcessState(SETTINGS)
    sys.path[:0] = ["", ".", str(tmp_path)]
    assert list(process_state.restore()) == ["import path"]
    assert sys.path == [*before, str(tmp_path)]
    assert process_state.restore() == {}
    sys.path.insert(0, str(tmp_path / "second"))
    assert list(process_state.restore()) == ["import path"]
    assert sys.path == [*before, str(tmp_path / "second"), str(tmp_path)]


def test_a_filter_that_silences_warnings_is_everybodys_own():
    process_state = ProcessState(SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert process_state.restore() == {}


def test_all_changes_at_once_are_put_back_when_a_plugin_raises():
    before = state()
    with pytest.raises(RuntimeError), unchanged(tuple(EVERYTHING.values())):
        disturb()
        raise RuntimeError
    assert state() == before


def test_a_working_directory_that_is_gone_is_left(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    process_state = ProcessState(SETTINGS)
    assert process_state.restore() == {}
    os.chdir(tmp_path)


RUDE = """
from harness.hooks import ModelInfo, hookimpl

@hookimpl
def harness_models():
    return [ModelInfo("rude", "changes everything when imported", "rude_model:Rude", type="toy")]
"""
BENCHMARK = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["rude"]\nbudget = "5 steps"\n'
RUDE_MODEL = """
from support.faulty_plugin import Steady, disturb

disturb()

class Rude(Steady):
    pass
"""


def test_what_a_plugin_changes_when_imported_reaches_no_worker(tmp_path, monkeypatch):
    """A driver imports every model that it plans; what it starts later must not notice."""
    for name, content in {
        "rude_plugin.py": RUDE,
        "rude_model.py": RUDE_MODEL,
        "rude-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: rude\nVersion: 1\n",
        "rude-1.dist-info/entry_points.txt": "[harness]\nrude = rude_plugin\n",
        "mine.toml": BENCHMARK,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    registry._installed.cache_clear()
    before = state()
    try:
        planned = api.plan("mine.toml")
    finally:
        registry._installed.cache_clear()
    assert "rude" in [trial.model for trial in planned.trials]
    assert "rude_model" in sys.modules
    assert state() == before


LOUD = """
import os, random, sys
import numpy, torch
from harness.hooks import ModelInfo, hookimpl

def seize():
    torch.set_default_dtype(torch.float64)
    torch.set_flush_denormal(True)
    torch.set_autocast_enabled("cpu", True)
    random.seed(0), numpy.random.seed(0), torch.manual_seed(0)
    os.environ["LOUD"] = "secret"

seize()

@hookimpl
def harness_models():
    return [ModelInfo("loud", "is not used", "loud:Loud")]

@hookimpl
def harness_step(trial, usage):
    seize()
"""


def test_a_plugin_that_is_not_used_changes_nothing(planned, tmp_path, monkeypatch):
    """A worker imports it and tells it of events; the row is that of a worker without it."""
    install(tmp_path, "loud", {"loud.py": LOUD}, {"loud": "loud"})
    monkeypatch.syspath_prepend(tmp_path)
    row = fork(planned.store, planned.trials["steady"]).row()
    assert (row.status, row.digests) == ("ok", planned.steady.digests)
    assert row.metrics["fid"] == planned.steady.metrics["fid"]
    reports = row.provenance["restored"]
    for name in ("default dtype", "flushing of denormals", "autocast", *DRAWS):
        (report,) = (report for report in reports if report.startswith(f"{name} was changed to "))
        assert report.endswith(" by plugin 'loud' of loud, and put back") and "secret" not in report
    assert "restored" not in planned.steady.provenance
    assert "unhashed" not in row.provenance


def test_what_a_plugin_changes_in_a_driver_reaches_no_worker(tmp_path, monkeypatch):
    """At a row's end, and when it is imported before anything is planned."""
    message = LOUD.replace("harness_step(trial, usage)", "harness_trial_finished(row)")
    install(tmp_path, "loud", {"loud.py": message}, {"loud": "loud"})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "loud", raising=False)
    registry._installed.cache_clear()
    before = state()
    try:
        with unchanged((*SETTINGS, *GENERATORS)):
            _options(strict=False, plugins="loud,genharness")
        assert "loud" in sys.modules and "LOUD" not in os.environ
        driver = api._EventForwarder(Observer(), None, None, registry.registry())
        driver.finished(TRIAL, TRIAL.row("ok"))
    finally:
        registry._installed.cache_clear()
        os.environ.pop("GENHARNESS_PLUGINS", None)  # which the command has put there
    assert state() == before


def test_a_model_keeps_what_its_own_package_puts_into_the_environment(monkeypatch):
    """Libraries read it; what other packages put there reaches nobody."""
    monkeypatch.setenv("OF_A_PLUGIN", "before")
    guard = PluginGuard("mine")
    with guard("mine", "mine"):
        os.environ["OF_A_PLUGIN"] = "mine"
    with guard("theirs", "theirs"):
        os.environ["OF_A_PLUGIN"] = "theirs"
        sys.modules["came_with_theirs"] = sys
    del sys.modules["came_with_theirs"]
    assert os.environ["OF_A_PLUGIN"] == "mine"
    assert "came_with_theirs" in guard.of_others
    (report,) = guard.reports
    assert report == (
        "environment was changed to other values of OF_A_PLUGIN by plugin 'theirs' of theirs, and "
        "put back"
    )
