"""A trial in a forked worker is bit for bit the trial in a spawned one."""

import pytest
from support.whole_runs import MACHINE_DEPENDENT

from harness import api
from harness.launchers import Observer
from harness.launchers.local import LocalLauncher
from harness.launchers.processes import ForkServer, Spawner
from harness.ledger import unaccounted

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
def test_forked_and_spawned_workers_give_the_same_rows(tmp_path, threads):
    """With one thread, and with pools of threads that libraries start when they are imported."""
    path = tmp_path / "mine.toml"
    path.write_text(BENCHMARK)
    found = []
    for starter in (ForkServer(), Spawner()):
        planned = api.plan(str(path), tmp_path / type(starter).__name__)
        launcher = LocalLauncher(["cpu"], threads, starter=starter)
        api.carry_out(planned, launcher, tracking="off", retry_failed=False, observer=Observer())
        found.append(planned.results().rows)
    for forked, spawned in zip(*found, strict=True):
        assert forked.status == spawned.status == "ok"
        assert forked.digests == spawned.digests
        for name in forked.metrics.keys() - MACHINE_DEPENDENT:
            assert forked.metrics[name] == spawned.metrics[name], name
        assert forked.hardware == spawned.hardware
        for row in (forked, spawned):
            assert unaccounted(row.usage) < 0.02
        assert forked.usage.model_dump(include={"flops", "images", "steps"}) == (
            spawned.usage.model_dump(include={"flops", "images", "steps"})
        )
