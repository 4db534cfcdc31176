"""A row is run again on another checkout; what has changed since is named; edits are caught."""

import json
import shutil
from pathlib import Path

import pytest
from support import faulty_plugin
from support.published import checkout, run
from typer.testing import CliRunner

import harness
from harness.cli import app
from harness.errors import UserError
from harness.files.untrusted import UntrustedFolder
from harness.plugins.registry import registry
from harness.publishing import report_folder
from harness.publishing.manifest import MANIFEST_NAME, read_manifest, sha256


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with the plugin in site/, and results of it."""
    folder = tmp_path_factory.mktemp("home")
    faulty_plugin.install(folder / "site")
    with checkout(folder / "site"):
        run(folder)
    return folder


@pytest.fixture(scope="module")
def tables(home, tmp_path_factory):
    """A report on them, without the page, which takes long to write."""
    folder = tmp_path_factory.mktemp("tables")
    results = harness.read_results(home / "results/mine")
    report_folder.build(results, folder, registry(), ["csv", "latex", "markdown", "parquet"])
    return folder


@pytest.fixture
def report(tables, tmp_path):
    return Path(shutil.copytree(tables, tmp_path / "report"))


def command(*arguments):
    answer = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(answer.exception, UserError):
        return 2, str(answer.exception)
    assert answer.exception is None or isinstance(answer.exception, SystemExit), answer.exception
    return answer.exit_code, answer.output


def rows(report):
    return [json.loads(line) for line in (report / "rows.jsonl").read_text().splitlines()]


def rewrite(report, change, renew_manifest=False):
    """Change the row that has figures, as an editor would, or as one who knows of the manifest."""
    found = rows(report)
    change(next(row for row in found if row["status"] == "ok"))
    text = "".join(json.dumps(row) + "\n" for row in found)
    (report / "rows.jsonl").write_text(text)
    if renew_manifest:
        renew(report, "rows.jsonl")


def renew(report, name):
    manifest = read_manifest(UntrustedFolder(report))
    manifest.files[name] = sha256((report / name).read_bytes())
    manifest.write(report)


def edited_site(home, folder, old, new):
    """Return another checkout of the plugin, with one thing changed."""
    faulty_plugin.install(folder)
    source = (folder / "faulty_plugin.py").read_text()
    assert source.count(old) == 1
    (folder / "faulty_plugin.py").write_text(source.replace(old, new))
    return folder


def test_another_checkout_gives_the_same_bits(report, tmp_path):
    faulty_plugin.install(tmp_path / "site")
    with checkout(tmp_path / "site"):
        code, printed = command("reproduce", report, "--results", tmp_path / "again")
    assert code == 0, printed
    assert "steady on digits, seed 0: agrees bit for bit" in printed
    assert "the same: samples, weights, flops, images, steps, batches, fid," in printed
    assert "unsupported on digits, seed 0: agrees" in printed
    assert "2 of 2 rows agree" in printed
    [row] = (r for r in rows(report) if r["status"] == "ok")
    again = json.loads((tmp_path / f"again/mine/trials/{row['trial']}/row.json").read_text())
    assert again["digests"] == row["digests"]
    with checkout(tmp_path / "site"), pytest.raises(UserError, match="holds results already"):
        harness.reproduce(report, results=tmp_path / "again")


def test_a_changed_default_is_another_trial_and_is_named(home, report, tmp_path):
    old = 'batch_size: int = setting(32, "images per step")'
    site = edited_site(home, tmp_path / "site", old, old.replace("32", "48"))
    with checkout(site):
        code, printed = command("reproduce", report, "--only", "steady")
    assert code == 1
    assert "NOT RUN" in printed
    assert "another trial: config.batch_size: 32 then, 48 now" in printed
    assert "changed: plugin.source: " in printed
    assert "0 of 1 rows agree" in printed


def test_an_edited_row_is_another_trial_and_is_named(home, report):
    [trial] = (row["trial"] for row in rows(report) if row["status"] == "ok")
    rewrite(report, lambda row: row["config"].update(batch_size=48))
    with checkout(home / "site"):
        [outcome] = harness.reproduce(report, [trial[:6]])
    assert not outcome.agrees and outcome.again is None
    assert f"its id is {trial}" in outcome.changed[0]
    assert "config.batch_size: 48 then, 32 now" in outcome.changed


def test_a_row_on_its_own_brings_its_settings_along(home, report, tmp_path):
    """Without a benchmark file a changed default changes nothing: the row has every setting."""
    old = 'batch_size: int = setting(32, "images per step")'
    site = edited_site(home, tmp_path / "site", old, old.replace("32", "48"))
    [row] = (row for row in rows(report) if row["status"] == "ok")
    (tmp_path / "row.json").write_text(json.dumps(row))
    results = harness.read_results(tmp_path / "row.json")
    with checkout(site):
        from harness.reproduction import prepare

        subject = prepare(results.rows[0], results, registry())
    assert subject.changed == ()
    assert subject.trial.config["batch_size"] == 32
    assert [difference.key for difference in subject.environment_changes] == ["plugin.source"]


def test_a_digest_of_another_rule_is_said_not_to_compare(home, report, tmp_path):
    """As those of reports are that were published before all files of a package counted."""
    [row] = (row for row in rows(report) if row["status"] == "ok")
    row["planned"]["plugin"]["source"] = "0" * 64
    (tmp_path / "row.json").write_text(json.dumps(row))
    results = harness.read_results(tmp_path / "row.json")
    with checkout(home / "site"):
        from harness.reproduction import prepare

        [difference] = prepare(results.rows[0], results, registry()).environment_changes
    assert difference.key == "plugin.source"
    assert "rule 1 and rule 2 are not comparable" in str(difference)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "stedy"], "did you mean 'steady'"),
        (["ffffffffffff"], "no row's id begins with 'ffffffffffff'"),
        ([""], "2 rows have ids that begin with ''"),
        (["--seed", "7"], "no row is selected"),
    ],
)
def test_what_is_not_there_is_said(report, arguments, complaint):
    code, printed = command("reproduce", report, *arguments)
    assert code == 2 and complaint in printed


def test_rows_that_say_too_little_are_refused(report):
    rewrite(report, lambda row: row.update(planned={}))
    with pytest.raises(UserError, match="does not record its evaluation, plugin, features"):
        harness.reproduce(report, only=["steady"])


def test_a_report_follows_from_its_rows(report):
    code, printed = command("verify", report)
    assert code == 0, printed
    assert "follows from its rows" in printed and "2 rows" in printed


def edit(name, old, new):
    def act(report):
        text = (report / name).read_text()
        assert old in text
        (report / name).write_text(text.replace(old, new, 1))

    return act


def better(row):
    row["metrics"]["fid"]["value"] /= 2


def renewed(name, act):
    def both(report):
        act(report)
        renew(report, name)

    return both


EDITS = {
    "a table": (edit("leaderboard.md", "steady", "Steady"), "leaderboard.md was changed after"),
    "a table and its hash": (
        renewed("leaderboard.md", edit("leaderboard.md", "steady", "Steady")),
        "leaderboard.md, line ",
    ),
    "a cell of CSV": (renewed("rows.csv", edit("rows.csv", "exact", "exakt")), "rows.csv, line 2"),
    "LaTeX": (
        renewed("leaderboard.tex", edit("leaderboard.tex", "steady", "best")),
        "leaderboard.tex, line ",
    ),
    "a figure": (lambda report: rewrite(report, better), "rows.jsonl was changed after"),
    "a figure and its hash": (
        lambda report: rewrite(report, better, renew_manifest=True),
        "the mean of its sets",
    ),
    "a figure off its curve": (
        lambda report: rewrite(report, better, renew_manifest=True),
        "its curve ends with",
    ),
    "a setting": (
        lambda report: rewrite(
            report, lambda row: row["config"].update(batch_size=48), renew_manifest=True
        ),
        "its settings were changed after it ran",
    ),
    "a protocol": (
        lambda report: rewrite(
            report, lambda row: row["protocol"].update(samples=10_000), renew_manifest=True
        ),
        "protocol.samples is 10000, planned was 50",
    ),
    "the benchmark": (
        renewed("benchmark.toml", edit("benchmark.toml", "40 steps", "50 steps")),
        "its budget is 40 steps, that of the benchmark 50 steps",
    ),
    "instructions": (
        renewed("REPRODUCE.md", edit("REPRODUCE.md", "bit for bit", "roughly")),
        "REPRODUCE.md, line ",
    ),
    "a missing file": (lambda report: (report / "rows.csv").unlink(), "rows.csv is missing"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_is_found_and_named(report, what):
    act, reason = EDITS[what]
    act(report)
    code, printed = command("verify", report)
    assert code == 1
    assert reason in printed


def test_an_edited_cell_of_parquet_is_found_by_its_content(report):
    import pandas as pd

    path = report / "rows.parquet"
    frame = pd.read_parquet(path)
    frame.to_parquet(path, index=False, compression="gzip")
    renew(report, path.name)
    assert harness.verify(report).faults == ()
    frame.loc[0, "parameters"] = 1
    frame.to_parquet(path, index=False)
    renew(report, path.name)
    [fault] = harness.verify(report).faults
    assert fault.startswith("rows.parquet, line 1, parameters: it has 1, the rows give ")


def test_what_is_no_report_is_refused(tmp_path):
    code, printed = command("verify", tmp_path)
    assert code == 2 and f"has no {MANIFEST_NAME}" in printed


def test_others_results_are_reported_and_merged(home, report, tmp_path):
    """A results folder, a report and a file of rows hold the same trials: each counts once."""
    sources = [home / "results/mine", report, report / "rows.jsonl"]
    code, printed = command("report", *sources, "--out", tmp_path / "all", "--format", "csv")
    assert code == 0, printed
    assert (tmp_path / "all/rows.csv").read_bytes() == (report / "rows.csv").read_bytes()
    assert command("report", *sources)[0] == 2
    code, printed = command("export", report, "--out", tmp_path / "export")
    assert code == 0 and printed.count("figures.") == 2
