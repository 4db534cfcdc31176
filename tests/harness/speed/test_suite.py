"""The suite that ships with the package, in a process as its user has it."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from harness.errors import UserError
from harness.speed.frame import COLUMNS, read_benchmarks

SUITE = ("--pyargs", "harness.speed", "-p", "no:cacheprovider", "-q")


def run(folder, *arguments):
    command = [sys.executable, "-m", "pytest", *arguments]
    # Within a worker of xdist, pytest-benchmark would take itself for one, and measure nothing.
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True)


def test_its_json_loads_into_the_frame_of_sweeps(tmp_path):
    """In a project whose own settings skip benchmarks, as this one's do."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --benchmark-skip -m 'not slow'\n")
    options = ["--model", "vae", "--batch-size", "2", "--dataset", "known-density:markov"]
    saved = ["--benchmark-json", "out.json", "--benchmark-max-time", "0.001"]
    done = run(tmp_path, *SUITE, *options, *saved)
    assert done.returncode == 0, done.stdout + done.stderr
    frame = read_benchmarks(tmp_path / "out.json")
    assert list(frame.columns) == list(COLUMNS)
    [line] = frame.to_dict("records")
    told = (line["model"], line["dataset"], line["device"], line["batch_size"])
    assert told == ("vae", "known-density:markov", "cpu", 2)
    assert line["repetitions"] >= 5 and line["nfe"] == 1 and line["parameters"] > 0
    assert pd.isna(line["cold_start"]) and pd.isna(line["peak_memory"])


def test_a_misspelt_model_is_an_error_and_other_projects_see_no_option(tmp_path):
    done = run(tmp_path, *SUITE, "--model", "vea")
    assert done.returncode == 2
    assert "no model is called 'vea' (did you mean 'vae'?)" in done.stdout
    assert "Traceback" not in done.stdout
    done = run(tmp_path, "--model", "vae")
    assert done.returncode == 4 and "unrecognized arguments: --model" in done.stderr


def test_figures_come_from_the_single_timings(tmp_path):
    told = {"model": "x", "dataset": "d", "device": "cpu", "batch_size": 8, "threads": 3}
    benchmark = {"extra_info": told, "stats": {"data": [1.0, 2.0, 4.0, 5.0, 8.0]}}
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({"benchmarks": [benchmark]}))
    [line] = read_benchmarks(path).to_dict("records")
    assert (line["seconds"], line["images_per_second"], line["repetitions"]) == (4.0, 2.0, 5)
    assert line["p95"] == pytest.approx(5 + 3 * 0.8)
    # The machine that timed had three threads, whatever this one has.
    assert line["threads"] == 3


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"benchmarks": [{"stats": {}}]}'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(UserError, match="other.json is not what 'pytest --pyargs harness.speed"):
        read_benchmarks(path)
