"""Everything global that a plugin may change is put back, and only what it changed is told."""

import locale
import os
import signal

import pytest
import torch
from support.faulty_plugin import disturb

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
