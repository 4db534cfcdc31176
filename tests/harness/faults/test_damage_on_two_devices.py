"""A trial on several devices starts anew on all of them, or on none."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.replicated import CPU, Case

from harness.machine.heartbeat import Heartbeat
from harness.planning.benchmark import parse_benchmark
from harness.planning.resolution import resolve
from harness.plugins.registry import registry
from harness.storage.checkpoint import FILE, save_checkpoint
from harness.training.ledger import Ledger
from harness.training.parallel.replicas import Replicas, SingleProcess
from harness.worker.trial_run import TrialRun

BENCHMARK = """name = "mine"
datasets = ["digits"]
models = [{model = "vae", settings = {width = 4, latent = 4, batch_size = 8}}]
budget = "96 images"
devices_per_trial = 2
references = false
"""


@pytest.fixture(scope="module")
def trial():
    [trial] = resolve(parse_benchmark(BENCHMARK, "mine.toml"), registry())
    return trial


@pytest.fixture(scope="module")
def state(trial):
    """What a checkpoint has after half of the trial."""
    training = Case("harness_autoencoders.vae:VAE", trial.config).training(SingleProcess())
    training.run_window(0.5, 1e9)
    return training.state_dict() | {"trial": trial.id, "curve": []}


@pytest.mark.parametrize("damaged", [(), (0,), (1,), (0, 1)])
def test_all_devices_restart_where_one_finds_a_damaged_checkpoint(damaged, trial, state, tmp_path):
    store = torch.distributed.HashStore()

    def begin(rank):
        """Resume, and end before the next step, for the first process says that it is enough."""
        folder = tmp_path / f"{rank}"
        folder.mkdir()
        save_checkpoint(folder, state)
        if rank in damaged:
            content = bytearray((folder / FILE).read_bytes())
            content[len(content) // 2] ^= 8
            (folder / FILE).write_bytes(content)
        run = TrialRun(trial, folder, registry(), CPU, Ledger(CPU), Heartbeat(folder))
        run.follow(Replicas(rank, 2, store, CPU, patience=20.0))
        return run

    # Threads, for processes would take seconds to start.
    with ThreadPoolExecutor(2) as devices:
        for rank, run in enumerate(devices.map(begin, range(2))):
            message = run.found.get("provenance", {}).get("checkpoint", "")
            if not damaged:
                assert (run.ledger.steps, message) == (6, "")
                continue
            seen = "damaged: its SHA-256" if rank in damaged else "another device found damaged"
            assert run.ledger.steps == 0
            assert seen in message and "the trial was restarted" in message
