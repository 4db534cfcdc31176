"""The trials of the faulty plugin, planned in this process."""

import sys
from dataclasses import dataclass

import pytest
import torch
from support.faulty_plugin import FAULTS, install

from harness import api
from harness.features.cache import VARIABLE
from harness.machine.heartbeat import Heartbeat
from harness.machine.process_state import SETTINGS, unchanged
from harness.planning.trial import Trial
from harness.plugins import registry
from harness.row import Row
from harness.storage.store import Store
from harness.training.ledger import Ledger
from harness.worker.trial_run import TrialRun

BENCHMARK = """name = "mine"
datasets = ["digits"]
models = [{models}]
budget = "24 steps"
references = false
checkpoint_seconds = 0.001
patience_seconds = 20.0
[evaluation]
samples = 50
batch_size = 50
metrics = ["fid"]
curve = []
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.01
"""


@dataclass
class Planned:
    """The trial of each faulty model by name, and the row of the one that works."""

    store: Store
    trials: dict[str, Trial]
    steady: Row


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Plan the trials and run the steady one here, so that forked workers have all they import."""
    folder = tmp_path_factory.mktemp("faults")
    install(folder / "site")
    with pytest.MonkeyPatch.context() as patch, unchanged(SETTINGS):
        patch.setenv(VARIABLE, str(folder / "cache"))
        patch.setattr(sys, "path", [str(folder / "site"), *sys.path])
        registry._installed.cache_clear()
        torch.set_num_threads(1)
        path = folder / "mine.toml"
        path.write_text(BENCHMARK.format(models=", ".join(f'"{name}"' for name in FAULTS)))
        plan = api.plan(str(path), folder / "results")
        plan.store.prepare()
        trials = {trial.model: trial for trial in plan.trials}
        here = plan.store.begin(trials["steady"])
        arguments = here, registry.registry(), torch.device("cpu"), Ledger(), Heartbeat(here)
        yield Planned(plan.store, trials, TrialRun(trials["steady"], *arguments).run())
    registry._installed.cache_clear()
