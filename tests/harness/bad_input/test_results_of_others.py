"""Results of others that lie: nothing outside is read, nothing large, and the file is named."""

import json
import subprocess
import sys

import pytest
from support.refusals import Case, assert_refused, cases, text_file

from harness.cli import run
from harness.row import Row

ROW = Row(
    trial="a1",
    benchmark="theirs",
    dataset="digits",
    fingerprint="f",
    model="vae",
    label="vae",
    seed=0,
    budget="5 steps",
    status="ok",
)
OUT = ("report", "theirs", "--out", "out")


def changed(**values):
    return json.dumps(json.loads(ROW.model_dump_json()) | values)


def hostile(name, *makers, says=(), remedy=""):
    """Return the case of a results folder, sound but for what ``makers`` do."""

    def make(folder):
        text_file("theirs/trials/a1/row.json", ROW.model_dump_json())(folder)
        for maker in makers:
            maker(folder)

    return Case(name, OUT, says, remedy, make)


def linked(path, target):
    def make(folder):
        (folder / path).unlink(missing_ok=True)
        (folder / path).symlink_to(target)

    return make


def large(path):
    def make(folder):
        with open(folder / path, "wb") as file:
            file.truncate(2**33)

    return make


TRIAL = "theirs/trials/a1/"
MANIFEST = {"schema_version": 1, "benchmark": "x", "files": {"../../secret": "0"}}

HOSTILE = [
    hostile("row-link", linked(f"{TRIAL}row.json", "/etc/passwd"), remedy="links are not followed"),
    hostile("row-large", large(f"{TRIAL}row.json"), remedy="larger than"),
    hostile("row-text", text_file(f"{TRIAL}row.json", "hello"), remedy="JSON"),
    hostile("row-binary", text_file(f"{TRIAL}row.json", b"\xff\x00"), remedy="JSON"),
    hostile("row-deep", text_file(f"{TRIAL}row.json", "[" * 100_000), remedy="JSON"),
    hostile(
        "row-climbs",
        text_file(f"{TRIAL}row.json", changed(trial="../../up")),
        remedy="not a trial id",
    ),
    hostile(
        "row-key", text_file(f"{TRIAL}row.json", changed(more=1)), says=("more",), remedy="Extra"
    ),
    hostile("curve-text", text_file(f"{TRIAL}curve.parquet", "hello"), remedy="curve"),
    hostile("curve-link", linked(f"{TRIAL}curve.parquet", "/etc/passwd"), remedy="not followed"),
    hostile("curve-large", large(f"{TRIAL}curve.parquet"), remedy="larger than"),
    hostile("picture-large", large(f"{TRIAL}samples.png"), remedy="larger than"),
    hostile("picture-link", linked(f"{TRIAL}samples.png", "/etc/passwd"), remedy="not followed"),
    hostile("environment", text_file(f"{TRIAL}environment.json", "hello"), remedy="environment"),
    hostile(
        "benchmark-link", linked("theirs/benchmark.toml", "/etc/passwd"), remedy="not followed"
    ),
    hostile("benchmark-text", text_file("theirs/benchmark.toml", "hello"), remedy="TOML"),
    hostile("manifest-text", text_file("theirs/MANIFEST.json", "hello"), remedy="MANIFEST"),
    hostile(
        "manifest-climbs",
        text_file("theirs/MANIFEST.json", json.dumps(MANIFEST)),
        remedy="MANIFEST",
    ),
]


@cases(*HOSTILE)
def test_results_that_lie_are_refused(case, tmp_path, monkeypatch, capfd):
    assert_refused(case, tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize("evil", ["\x1b]0;owned\x07", "\x1b[2Jclean", "<script>alert(1)</script>"])
def test_names_of_others_do_nothing_to_the_terminal(evil, tmp_path, monkeypatch, capfd):
    row = changed(label=evil, reason=evil, status="error")
    text_file("theirs/trials/a1/row.json", row)(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(sys, "argv", ["harness", *OUT])
    code = run()
    printed = capfd.readouterr()
    assert code == 0, printed.err
    assert (tmp_path / "out/MANIFEST.json").exists()
    assert "\x1b" not in printed.out + printed.err and "\x07" not in printed.out + printed.err
    for page in tmp_path.glob("out/*.html"):
        assert "<script>alert" not in page.read_text("utf-8")


def test_a_warning_that_names_them_does_nothing_either(tmp_path):
    row = tmp_path / "results" / "\x1b]0;owned\x07" / "trials" / "a1" / "row.json"
    row.parent.mkdir(parents=True)
    row.write_text("{}")
    command = [sys.executable, "-m", "harness", "sync", "--results", "results"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert answer.returncode == 2
    assert "\\x1b]0;owned\\x07/trials/a1/row.json is damaged" in answer.stderr
    assert "\x1b" not in answer.stdout + answer.stderr
