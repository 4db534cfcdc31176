"""A trial in a forked worker, or in a spare, is bit for bit the trial in a spawned one."""

import pytest
from support.whole_runs import MACHINE_DEPENDENT

from harness import api
from harness.launchers import Observer
from harness.launchers.local import LocalLauncher
from harness.launchers.processes import ForkServer, Spares, Spawner
from harness.training.ledger import unaccounted

BENCHMARK = """
name = "mine"
datasets = ["digits"]
models = ["vae", "realnvp"]
budget = "20 steps"
[evaluation]
samples = 100
batch_size = 50
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1]
speed_seconds = 0.02
"""


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_forked_spawned_and_spare_workers_give_the_same_rows(tmp_path, threads):
    """With one thread, and with pools of threads that libraries start when they are imported."""
    path = tmp_path / "mine.toml"
    path.write_text(BENCHMARK)
    found = []
    for starter in (Spawner(), ForkServer(), Spares()):
        planned = api.plan(str(path), tmp_path / type(starter).__name__)
        launcher = LocalLauncher(["cpu"], threads, starter=starter)
        todo = api.begin(planned, launcher)
        api.carry_out(planned, todo, launcher, tracking="off", observer=Observer())
        found.append(planned.results().rows)
    for spawned, *others in zip(*found, strict=True):
        assert spawned.status == "ok"
        assert unaccounted(spawned.usage) < 0.02
        for other in others:
            assert other.status == "ok"
            assert other.digests == spawned.digests
            for name in spawned.metrics.keys() - MACHINE_DEPENDENT:
                assert other.metrics[name] == spawned.metrics[name], name
            assert other.hardware == spawned.hardware
            assert unaccounted(other.usage) < 0.02
            assert other.usage.model_dump(include={"flops", "images", "steps"}) == (
                spawned.usage.model_dump(include={"flops", "images", "steps"})
            )
