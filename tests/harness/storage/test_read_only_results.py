"""Results that nobody may write to any more: all that only reads them works."""

import shutil
import subprocess
import sys

import pytest
from support.full_disk import full_disk
from support.refusals import contents
from support.rows import make_row
from support.unprivileged import bound_by_modes

from harness import api
from harness.cli import run
from harness.errors import Unwritable
from harness.plugins.registry import registry
from harness.publishing import report_folder

BENCHMARK = """
name = "mine"
models = ["vae", "dcgan"]
datasets = ["known-density:independent"]
budget = "5 steps"
seeds = [0]
references = false
[evaluation]
features = "pixels"
"""

NOTHING = (0, "mine: 2 trials, 2 done before; nothing to do\n")
STAYS = (
    "the report stays as it is: cannot write to results/mine/locks/report: {}; 'harness report ... "
    "--out DIR' writes it elsewhere"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a benchmark whose trials have all ended, and its report."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "mine.toml").write_text(BENCHMARK)
    planned = api.plan(str(folder / "mine.toml"), folder / "results")
    planned.store.prepare()
    planned.store.write_source(planned.source)
    for trial in planned.trials:
        planned.store.begin(trial)
        measured = make_row(trial.label).metrics
        planned.store.finish(trial.row("ok", metrics=measured))
    planned.store.report.mkdir()
    report_folder.build(planned.results(), planned.store.report, registry(), ["markdown"])
    return folder


@pytest.fixture
def read_only(finished, tmp_path, monkeypatch):
    """The same in the current folder, without permission to write."""
    shutil.copytree(finished, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    with bound_by_modes():
        yield tmp_path
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(path.stat().st_mode | 0o200)


@pytest.fixture
def harness(monkeypatch, capfd):
    """Run the command line; return its exit code and what it printed."""

    def command(*arguments):
        monkeypatch.setattr(sys, "argv", ["harness", *map(str, arguments)])
        monkeypatch.setattr("signal.signal", lambda *_: None)  # run() takes over SIGTERM
        code = run()
        return code, *capfd.readouterr()

    return command


def test_a_finished_benchmark_has_nothing_to_do(read_only, harness, caplog):
    before = contents(read_only)
    assert harness("run", "mine.toml", "--device", "cpu")[:2] == NOTHING
    assert caplog.messages == [STAYS.format("Permission denied")]
    assert len(api.run("mine.toml", read_only / "results", devices=["cpu"])) == 2
    assert contents(read_only) == before


def test_an_unfinished_one_is_refused_in_a_sentence(read_only, harness):
    options = ("--set", "vae.latent=3", "--device", "cpu")
    code, printed, message = harness("run", "mine.toml", *options)
    assert code == 2 and "Traceback" not in message
    assert "error: cannot write to results/mine" in message and "Permission denied" in message


def test_what_reads_works_and_what_writes_says_where_it_cannot(
    read_only, harness, tmp_path_factory
):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    for arguments, expected in (
        (("plan", "mine.toml"), "vae"),
        (("status", "mine.toml"), "ok"),
        (("compare", "vae", "dcgan", "results/mine"), "vae"),
        (("export", "mine.toml", "--out", elsewhere / "export"), "rows.csv"),
        (("report", "results/mine", "--out", elsewhere / "r", "--format", "csv"), "rows.csv"),
        (("verify", "results/mine/report"), "follows from its rows"),
    ):
        code, printed, message = harness(*arguments)
        assert (code, expected in printed) == (0, True), message
    code, _, message = harness("report", "mine.toml")
    text = (
        "cannot write the report to results/mine/report: Permission denied; 'harness report ... -"
    )
    assert code == 2 and text in message
    code, _, message = harness("report", "mine.toml", "--out", "new", "--format", "csv")
    assert code == 2 and "cannot write the report to new: Permission denied" in message
    code, _, message = harness("export", "mine.toml")
    assert code == 2 and "cannot write to export: Permission denied" in message


def test_a_file_system_that_is_mounted_read_only_is_no_different(
    finished, tmp_path, harness, monkeypatch, caplog
):
    with full_disk(tmp_path / "disk", "8m") as disk:
        shutil.copytree(finished, disk, dirs_exist_ok=True)
        monkeypatch.chdir(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert harness("run", "mine.toml", "--device", "cpu")[:2] == NOTHING
        assert caplog.messages == [STAYS.format("Read-only file system")]
        with pytest.raises(Unwritable, match="mine/report: Read-only file system; 'harness report"):
            planned = api.plan("mine.toml", "results")
            report_folder.write(planned.results(), planned.store.report, registry())
        monkeypatch.chdir(tmp_path)
