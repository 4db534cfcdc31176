"""A thousand trials of moments, from the benchmark file to the report."""

import sys
import time

import pytest

from harness import api
from harness.launchers import Observer
from harness.launchers.local import LocalLauncher
from harness.launchers.processes import ForkServer

TRIALS = 1000
LIMIT_SECONDS = 0.05

STAND_IN = """
import os, sys
from pathlib import Path
import harness.worker.__main__
from harness.planning.trial import Trial

def work():
    folder = Path(sys.argv[1])
    trial = Trial.model_validate_json((folder / "trial.json").read_bytes())
    (folder / "row.json").write_text(trial.row("ok").model_dump_json())
    os._exit(0)

harness.worker.__main__.main = work
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks are for Linux")
def test_a_thousand_trials_cost_the_driver_less_than_50_ms_each(tmp_path, monkeypatch):
    """The driver's own processor time: planning, starting, watching, rows, the report."""
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    benchmark = tmp_path / "thousand.toml"
    benchmark.write_text(
        f'name = "thousand"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "1 step"\n'
        f"seeds = {list(range(TRIALS))}\nreferences = false\n"
    )
    api.plan(str(benchmark), tmp_path)  # imports are made once, however many trials there are
    begin = time.process_time()
    planned = api.plan(str(benchmark), tmp_path)
    planning = time.process_time() - begin
    launcher = LocalLauncher(
        ["cpu", "cpu"], 1, starter=ForkServer(("harness.planning.trial", "stand_in"))
    )
    todo = api.begin(planned, launcher)
    api.carry_out(planned, todo, launcher, tracking="off", observer=Observer())
    running = time.process_time() - begin - planning
    api.publish(planned, None)
    reporting = time.process_time() - begin - planning - running
    rows = planned.results().rows
    assert [row.status for row in rows] == ["ok"] * TRIALS
    assert {row.trial for row in rows} == {trial.id for trial in planned.trials}
    each = {
        name: 1000 * seconds / TRIALS
        for name, seconds in (("plan", planning), ("run", running), ("report", reporting))
    }
    print("ms a trial:", {name: round(value, 2) for name, value in each.items()})
    assert sum(each.values()) < 1000 * LIMIT_SECONDS, each
