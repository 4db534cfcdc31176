"""A small report of real trials, and the plugin behind it, on this and on other checkouts."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import api
from harness.launchers import Observer
from harness.launchers.local import LocalLauncher
from harness.plugins.registry import _installed

PLUGIN = "faulty_plugin"
BENCHMARK = """name = "mine"
summary = "A model on digits for forty steps"
datasets = ["digits"]
models = ["steady", "unsupported"]
budget = "40 steps"
references = false

[evaluation]
samples = 50
batch_size = 50
metrics = ["fid"]
sample_sets = 2
curve = [0.5]
likelihood_images = 20
speed_batch_sizes = [1, 8]
speed_seconds = 0.02
"""


@contextmanager
def checkout(site: Path) -> Iterator[None]:
    """Let plugins in ``site`` be found, by this process and its workers, and then forget them."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(site)
    sys.path.insert(0, str(site))
    _forget()
    try:
        yield
    finally:
        sys.path.remove(str(site))
        _forget()
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _forget() -> None:
    sys.modules.pop(PLUGIN, None)
    importlib.invalidate_caches()
    _installed.cache_clear()


def run(folder: Path) -> Path:
    """Run the benchmark; return the folder of its results."""
    (folder / "mine.toml").write_text(BENCHMARK)
    planned = api.plan(str(folder / "mine.toml"), folder / "results")
    launcher = LocalLauncher(["cpu"], threads=1)
    todo = api.begin(planned, launcher)
    api.carry_out(planned, todo, launcher, tracking="off", observer=Observer())
    return planned.store.folder
