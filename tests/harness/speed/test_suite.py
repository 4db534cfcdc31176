"""The suite that ships with the package, in a process as its user has it."""

import json
import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from harness.errors import UserError
from harness.speed.frame import COLUMNS, read_benchmarks

SUITE = ("--pyargs", "harness.speed", "-p", "no:cacheprovider", "-q")
TIMED = (*SUITE, "--model", "vae", "--batch-size", "2", "--dataset", "known-density:markov")
BRIEF = ("--benchmark-max-time", "0.001")
SESSIONS = {
    "first": (*TIMED, *BRIEF, "--benchmark-autosave"),
    "second": (*TIMED, *BRIEF, "--benchmark-compare", "--benchmark-json", "out.json"),
    "misspelt": (*SUITE, "--model", "vea"),
    "of another project": ("--model", "vae"),
}
PYTEST = """
import json, sys
import pytest

for name, arguments in json.loads(sys.argv[1]).items():
    print(f"--- {name} ended with {int(pytest.main(arguments))}", flush=True)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A project whose own settings skip benchmarks, as this one's do."""
    path = tmp_path_factory.mktemp("project")
    (path / "pytest.ini").write_text("[pytest]\naddopts = --benchmark-skip -m 'not slow'\n")
    return path


@pytest.fixture(scope="module")
def said(folder):
    """What pytest says in each session, one after another in one process: torch is slow to load."""
    # Within a worker of xdist, pytest-benchmark would take itself for one, and measure nothing.
    alone = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    command = [sys.executable, "-c", PYTEST, json.dumps(SESSIONS)]
    done = subprocess.run(
        command,
        cwd=folder,
        env=alone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    output = re.split(r"^--- .* ended with (\d)\n", done.stdout, flags=re.MULTILINE)
    return dict(zip(SESSIONS, zip(output[::2], map(int, output[1::2]), strict=False), strict=True))


def test_its_json_loads_into_the_frame_of_sweeps(folder, said):
    text, code = said["second"]
    assert code == 0, text
    frame = read_benchmarks(folder / "out.json")
    assert list(frame.columns) == list(COLUMNS)
    [line] = frame.to_dict("records")
    output = (line["model"], line["dataset"], line["device"], line["batch_size"])
    assert output == ("vae", "known-density:markov", "cpu", 2)
    assert line["repetitions"] >= 5 and line["nfe"] == 1 and line["parameters"] > 0
    assert pd.isna(line["cold_start"]) and pd.isna(line["peak_memory"])


def test_a_run_is_compared_with_the_one_saved_before(said):
    text, code = said["first"]
    assert code == 0, text
    text, code = said["second"]
    assert code == 0, text
    assert "Comparing against benchmarks from" in text
    assert "test_sampling[vae-2] (NOW)" in text and "test_sampling[vae-2] (0001_" in text


def test_a_saved_run_loads_into_the_frame_too(folder, said):
    """It has no single timings, unless --benchmark-save-data asked for them."""
    [saved] = folder.glob(".benchmarks/*/0001*.json")
    [stats] = [found["stats"] for found in json.loads(saved.read_text())["benchmarks"]]
    frame = read_benchmarks(saved)
    assert list(frame.columns) == list(COLUMNS)
    [line] = frame.to_dict("records")
    assert (line["model"], line["batch_size"]) == ("vae", 2)
    assert (line["seconds"], line["repetitions"]) == (stats["median"], stats["rounds"])
    assert line["images_per_second"] == pytest.approx(2 / stats["median"])
    assert line["spread"] == pytest.approx(2 / stats["q1"] - 2 / stats["q3"])
    assert pd.isna(line["p95"])


def test_a_misspelt_model_is_an_error_and_other_projects_see_no_option(said):
    text, code = said["misspelt"]
    assert code == 2
    assert "no model is called 'vea' (did you mean 'vae'?)" in text
    assert "Traceback" not in text
    text, code = said["of another project"]
    assert code == 4 and "unrecognized arguments: --model" in text


def test_figures_come_from_the_single_timings(tmp_path):
    output = {"model": "x", "dataset": "d", "device": "cpu", "batch_size": 8, "threads": 3}
    benchmark = {"extra_info": output, "stats": {"data": [1.0, 2.0, 4.0, 5.0, 8.0]}}
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
    with pytest.raises(
        UserError, match="other.json is not what 'pytest --pyargs harness.speed' writes"
    ):
        read_benchmarks(path)
