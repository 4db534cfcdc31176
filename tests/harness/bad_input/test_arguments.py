"""Arguments of every command that nobody should have typed."""

import os
import subprocess
import sys

import numpy as np
import pytest
from support.bad_images import arrays
from support.refusals import Case, assert_is_refusal, assert_refused, cases, contents, text_file

FILE = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "5 steps"\n'
IMAGES = arrays("images.npz", images=np.zeros((4, 8, 8), np.uint8))
A_FILE = text_file("taken", "here already")


BENCHMARK = text_file("mine.toml", FILE)


def typed(name, command, *says, remedy, make=BENCHMARK):
    """Return the case of a line that somebody typed."""
    return Case(name, tuple(command.split()), says, remedy, make)


RUN = "run mine.toml --tracking off"
ARGUMENTS = [
    typed("no-such-command", "rnu digits", "'rnu'", remedy="Did you mean 'run'"),
    typed("no-benchmark", "run", "Missing argument", remedy="BENCHMARK"),
    typed("two-benchmarks", "run digits mnist", "unexpected extra argument", remedy="--help"),
    typed("no-such-option", "run digits --sed 5", "No such option: --sed", remedy="--help"),
    typed("option-without-value", "run digits --set", "--set", remedy="requires an argument"),
    typed("also-unknown", f"{RUN} --also vea", "'vea'", remedy="did you mean 'vae'"),
    typed("threads-zero", f"{RUN} --threads 0", "--threads", remedy="equal to 1"),
    typed("threads-text", f"{RUN} --threads many", "--threads", remedy="valid integer"),
    typed("device-unknown", f"{RUN} --device gpu", "'gpu'", remedy="cuda:0"),
    typed("device-absent", f"{RUN} --device cuda:99", "cuda:99", remedy="torch finds the CPU"),
    typed("device-meta", f"{RUN} --device meta", "meta", remedy="torch finds the CPU"),
    typed("device-negative", f"{RUN} --device cuda:-1", "cuda:-1", remedy="cuda:0"),
    typed("device-index", f"{RUN} --device cpu:5", "cpu:5", remedy="cpu"),
    typed("device-empty", f"{RUN} --device=", "''", remedy="write cpu"),
    typed("tracking", "run digits --tracking on", "'on'", remedy="'off'"),
    Case(
        "results-file",
        ("run", "mine.toml", "--tracking", "off", "--results", "taken"),
        ("taken",),
        "name another folder with --results",
        lambda folder: (A_FILE(folder), text_file("mine.toml", FILE)(folder)),
    ),
    Case(
        "results-below-file",
        ("run", "mine.toml", "--tracking", "off", "--results", "taken/x"),
        ("taken",),
        "name another folder with --results",
        lambda folder: (A_FILE(folder), text_file("mine.toml", FILE)(folder)),
    ),
    typed(
        "results-proc",
        f"{RUN} --results /proc/nowhere",
        "/proc/nowhere",
        remedy="name another folder with --results",
    ),
    Case(
        "results-nul",
        ("run", "mine.toml", "--tracking", "off", "--results", "a\0b"),
        ("--results",),
        "null byte",
        text_file("mine.toml", FILE),
    ),
    Case(
        "results-long",
        ("run", "mine.toml", "--tracking", "off", "--results", "x" * 5_000),
        ("xxx",),
        "name another folder with --results",
        text_file("mine.toml", FILE),
    ),
    typed(
        "needs-devices",
        f"{RUN} --device cpu",
        "vae needs 2 devices at once, and there are 1",
        remedy="--workers",
        make=text_file("mine.toml", f"{FILE}devices_per_trial = 2\n"),
    ),
    typed(
        "needs-memory",
        RUN,
        "vae needs 9.31e+08 GiB of memory",
        remedy="lower its memory",
        make=text_file(
            "mine.toml", FILE.replace('"vae"', '{ model = "vae", memory = "1000000 TB" }')
        ),
    ),
    typed("plan-unknown", "plan nowhere", "'nowhere'", remedy="digits-smoke"),
    typed("status-unknown", "status nowhere", "'nowhere'", remedy="digits-smoke"),
    typed("status-setting", "status mine.toml --set vae", "'vae'", remedy="MODEL.KEY=VALUE"),
    typed("report-unknown", "report nowhere", "nowhere", remedy="digits-smoke"),
    typed("report-format", "report mine.toml --format htm", "'htm'", remedy="did you mean 'html'"),
    typed("evaluate-nothing", "evaluate", "Missing argument", remedy="samples"),
    typed(
        "evaluate-no-reference",
        "evaluate images.npz",
        "Missing option",
        remedy="--reference",
        make=IMAGES,
    ),
    typed(
        "evaluate-reference",
        "evaluate images.npz --reference digts",
        "'digts'",
        remedy="did you mean 'digits'",
        make=IMAGES,
    ),
    typed(
        "evaluate-empty-reference",
        "evaluate images.npz --reference=",
        "'' is not a path",
        remedy="name a folder",
        make=IMAGES,
    ),
    typed(
        "evaluate-metrics",
        "evaluate images.npz --reference digits --metrics fid,fib",
        "'fib'",
        remedy="did you mean 'fid'",
        make=IMAGES,
    ),
    typed(
        "evaluate-metrics-of-tasks",
        "evaluate images.npz --reference digits --metrics fid,label_accuracy",
        "'label_accuracy'",
        remedy="others: fid",
        make=IMAGES,
    ),
    typed(
        "evaluate-metrics-commas",
        "evaluate images.npz --reference digits --metrics ,,",
        "''",
        remedy="there are",
        make=IMAGES,
    ),
    typed(
        "evaluate-features",
        "evaluate images.npz --reference digits --features incepton",
        "'incepton'",
        remedy="did you mean",
        make=IMAGES,
    ),
    typed(
        "evaluate-other-features",
        "evaluate images.npz --reference digits --features mnist-classifier",
        "mnist-classifier",
        remedy="1x28x28",
        make=IMAGES,
    ),
    typed(
        "evaluate-device",
        "evaluate images.npz --reference digits --device gpu",
        "'gpu'",
        remedy="write cpu",
        make=IMAGES,
    ),
    typed(
        "evaluate-train",
        "evaluate images.npz --reference digits --train-reference no",
        "'no'",
        remedy="data sets are",
        make=IMAGES,
    ),
    typed("speed-nothing", "speed", "Missing argument", remedy="MODEL"),
    typed("speed-unknown", "speed vea", "'vea'", remedy="did you mean 'vae'"),
    typed("speed-sizes", "speed vae --batch-sizes 1,many", "'1,many'", remedy="positive integers"),
    typed("speed-zero", "speed vae --batch-sizes 0", "'0'", remedy="positive integers"),
    typed("speed-unicode", "speed vae --batch-sizes ٣", "'٣'", remedy="positive integers"),
    typed(
        "speed-huge",
        "speed vae --batch-sizes " + "9" * 5_000,
        "--batch-sizes",
        remedy="positive integers",
    ),
    typed("speed-seconds", "speed vae --seconds -1", "--seconds", remedy="positive, finite"),
    typed("speed-nan", "speed vae --seconds nan", "--seconds", remedy="positive, finite"),
    typed("speed-longest", "speed vae --longest 0", "--longest", remedy="positive, finite"),
    typed("speed-threads", "speed vae --threads -1", "--threads", remedy="equal to 0"),
    typed("speed-device", "speed vae --device tpu", "'tpu'", remedy="write cpu"),
    typed("list-kind", "list model", "'model'", remedy="'models'"),
    typed("doctor-argument", "doctor everything", "unexpected extra argument", remedy="--help"),
    typed("new-nothing", "new", "Missing argument", remedy="NAME"),
    typed("new-name", "new MyModel", "'MyModel'", remedy="try 'my-model'"),
    typed("new-climbs", "new ../up", "'../up'", remedy="lower-case letters"),
    typed("new-taken", "new vae", "'vae' is taken", remedy="choose another"),
    typed("new-module", "new json", "'json' is taken", remedy="choose another"),
    typed("new-family", "new mine --family vea", "'vea'", remedy="likelihood"),
    Case(
        "new-folder",
        ("new", "mine", "taken"),
        ("taken exists already",),
        "harness new mine FOLDER",
        A_FILE,
    ),
    typed("check-nothing", "check", "Missing argument", remedy="NAME"),
    typed("check-unknown", "check vea", "'vea'", remedy="did you mean 'vae'"),
    typed("check-module", "check nowhere.at:All", "nowhere", remedy="No module named"),
    typed(
        "check-no-model",
        "check json:JSONDecoder",
        "json:JSONDecoder",
        remedy="not a subclass of harness.contract.GenerativeModel",
    ),
    typed("check-attribute", "check json:JSONDecodr", "'JSONDecodr'", remedy="'JSONDecoder'"),
    typed("check-setting", "check vae --set latnet=5", "latnet", remedy="'latent'"),
    typed(
        "check-no-setting",
        "check vae --set latent",
        "'latent' is not a setting",
        remedy="KEY=VALUE",
    ),
    typed("check-data", "check vae --dataset digts", "'digts'", remedy="did you mean 'digits'"),
    typed("sync-nowhere", "sync --results nowhere", "nowhere", remedy="--results"),
    typed("sync-file", "sync --results mine.toml", "mine.toml", remedy="--results"),
    typed("export-nothing", "export", "Missing argument", remedy="NAME"),
    typed("export-unknown", "export nowhere", "'nowhere'", remedy="digits-smoke"),
    typed(
        "export-no-rows", "export mine.toml", "no trial has ended", remedy="run the benchmark first"
    ),
    typed("verify-nothing", "verify", "Missing argument", remedy="REPORT"),
    typed("verify-nowhere", "verify nowhere", "nowhere", remedy="'harness report' wrote"),
    typed(
        "verify-file", "verify mine.toml", "not a report folder", remedy="'harness report' wrote"
    ),
    typed("reproduce-nothing", "reproduce", "Missing argument", remedy="REPORT"),
    typed("reproduce-nowhere", "reproduce nowhere", "nowhere", remedy="a report folder"),
    typed("reproduce-file", "reproduce mine.toml", "no rows", remedy="a report folder"),
    typed("report-rows", "report no.jsonl", "no.jsonl", remedy="a report folder"),
    typed("compare-one", "compare vae", "Missing argument", remedy="B"),
    typed("compare-unknown", "compare a b nowhere", "'nowhere'", remedy="digits-smoke"),
    typed("plugins-unknown", "--plugins gam list", "'gam'", remedy="did you mean 'gan'"),
    typed("plugins-empty", "--plugins , list", "--plugins", remedy="comma-separated names"),
]


@pytest.fixture(autouse=True)
def nothing_runs(monkeypatch):
    """What should have been refused takes no minutes, and leaves no worker behind."""

    def refuse(*_):
        raise AssertionError("a trial was run")

    monkeypatch.setattr("harness.launchers.local.LocalLauncher.run", refuse)
    monkeypatch.setattr("harness.speed.sweep.measure", refuse)


@cases(*ARGUMENTS)
def test_a_bad_argument_is_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize(
    "command",
    [
        ["plan", "mine.toml", "--set", "vae.latent=\x1b[31mred"],
        ["evaluate", "nowhere\n", "--reference", "digits"],
    ],
    ids=lambda command: command[0],
)
def test_in_a_process_of_its_own(command, tmp_path):
    text_file("mine.toml", FILE)(tmp_path)
    before = contents(tmp_path)
    answer = subprocess.run(
        [sys.executable, "-m", "harness", *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "1000"},
    )
    assert_is_refusal(answer.returncode, answer.stdout, answer.stderr)
    assert contents(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do it all")
def test_what_may_not_be_read_or_written(tmp_path, monkeypatch, capfd):
    text_file("mine.toml", FILE)(tmp_path)
    (tmp_path / "mine.toml").chmod(0)
    case = Case("unreadable", ("plan", "mine.toml"), ("Permission denied",), "name a text file")
    assert_refused(case, tmp_path, monkeypatch, capfd)
