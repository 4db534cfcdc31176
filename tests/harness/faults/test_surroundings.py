"""Everything global that a plugin may change is put back, and only what it changed is told."""

import locale
import os
import signal
import sys

import pytest
import torch
from support.faulty_plugin import disturb

from harness import api, registry
from harness.surroundings import ENVIRONMENT, SETTINGS, Surroundings, unchanged

CHANGES = {
    "default dtype": lambda: torch.set_default_dtype(torch.float64),
    "default device": lambda: torch.set_default_device("meta"),
    "gradients": lambda: torch.set_grad_enabled(False),
    "anomaly detection": lambda: torch.autograd.set_detect_anomaly(True),
    "threads": lambda: torch.set_num_threads(torch.get_num_threads() + 1),
    "deterministic algorithms": lambda: torch.use_deterministic_algorithms(True),
    "precision of products": lambda: torch.set_float32_matmul_precision("high"),
    "convolutions": lambda: setattr(torch.backends.cudnn, "benchmark", True),
    "working directory": lambda: os.chdir("/"),
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "signal handlers": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
}


def state():
    return {setting.name: setting.read() for setting in (*SETTINGS, ENVIRONMENT)}


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch, tmp_path):
    """Hold every test to leaving things as they were."""
    monkeypatch.chdir(tmp_path)
    before = [setting.read() for setting in SETTINGS]
    yield
    assert [setting.read() for setting in SETTINGS] == before


def test_there_is_a_change_for_every_setting():
    assert set(CHANGES) == {setting.name for setting in SETTINGS}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_put_back_and_told_alone(name):
    before, surroundings = state(), Surroundings(SETTINGS)
    CHANGES[name]()
    changed = state()
    if name == "locale" and changed == before:
        pytest.skip("the locale is already C")
    assert changed[name] != before[name]
    assert surroundings.restore() == {name: str(changed[name])}
    assert state() == before
    assert surroundings.restore() == {}


def test_all_changes_at_once_are_put_back_when_a_plugin_raises():
    before = state()
    with pytest.raises(RuntimeError), unchanged((*SETTINGS, ENVIRONMENT)):
        disturb()
        raise RuntimeError
    assert state() == before


def test_a_working_directory_that_is_gone_is_left(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    surroundings = Surroundings(SETTINGS)
    assert surroundings.restore() == {}
    os.chdir(tmp_path)


RUDE = """
from harness.hooks import ModelInfo, hookimpl

@hookimpl
def harness_models():
    return [ModelInfo("rude", "changes everything when imported", "rude_model:Rude", family="toy")]
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
