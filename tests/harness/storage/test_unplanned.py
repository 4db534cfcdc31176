"""Rows that a benchmark does not plan any more are named with count and reason, never lost."""

import shutil

import pytest
from support.stored import TRIAL, trial
from typer.testing import CliRunner

from harness import api
from harness.cli import app
from harness.publishing.formats import WrittenReport
from harness.storage.store import Store
from harness.storage.unplanned import unplanned

SEEDS = [trial(seed) for seed in range(3)]


def ended(store, trials, **found):
    store.prepare()
    for each in trials:
        store.begin(each)
        store.finish(each.row("ok", **found))


def changed(**changes):
    return [each.model_copy(update=changes) for each in SEEDS]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "mine")


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (
            changed(plugin=TRIAL.plugin | {"source": "1"}),
            "3 of 'vae': its plugin was changed; plugin.source: 0 then, 1 now",
        ),
        (changed(label="wide"), "3 of 'vae': it is called 'wide' now"),
        (changed(label="gan", model="gan"), "3 of 'vae': the benchmark has no such entry"),
        ([], "3 of 'vae': the benchmark has no such entry"),
        (changed(dataset="mnist"), "3 of 'vae': the benchmark has no data set 'digits'"),
        (SEEDS[:1], "1 of 'vae': the benchmark has no seed 2"),
        (changed(budget="9 steps"), "3 of 'vae': budget: 5 steps then, 9 steps now"),
        (
            changed(config={"batch_size": 16}),
            "3 of 'vae': config.batch_size: 8 then, 16 now",
        ),
        (
            changed(budget="9 steps", precision="bf16", compile=True, fingerprint="0"),
            "fingerprint: fffff",
        ),
    ],
)
def test_rows_that_are_not_planned_are_counted_with_the_reason(store, now, expected):
    ended(store, SEEDS)
    lines = unplanned(store, now)
    number = len(SEEDS) - len({t.id for t in SEEDS} & {t.id for t in now})
    assert lines[0] == f"not planned, so not reported: {number} rows in {store.trials}"
    assert expected in "\n".join(lines[1:-1])
    assert lines[-1].startswith(f"'harness report {store.folder} --out")


def test_what_is_planned_or_unfinished_is_not_named(store):
    assert unplanned(store, SEEDS) == []
    ended(store, SEEDS[:2])
    store.begin(changed(label="other")[0])
    assert unplanned(store, SEEDS) == []


def test_a_row_that_cannot_be_read_is_named_and_stops_nothing(store):
    ended(store, SEEDS)
    row = store.ended(SEEDS[0].id) / "row.json"
    row.write_text(row.read_text().replace("ok", "no"))
    assert "  1 that cannot be read" in unplanned(store, SEEDS[1:])
    shutil.rmtree(store.ended(SEEDS[0].id))
    assert unplanned(store, SEEDS[1:]) == []


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    return api.plan("digits-smoke", tmp_path_factory.mktemp("results"))


@pytest.fixture
def reported(planned, monkeypatch):
    """A full report of a plan, and a function that calls commands after its plugins were edited."""

    def write(results, folder, *others):
        path = folder / "rows.txt"
        path.write_text(f"{len(results.rows)}")
        return WrittenReport({"text": path}, {"page": "RuntimeError: no font"} if breaks else {})

    breaks = []
    monkeypatch.setattr("harness.publishing.report_folder.write_formats", write)
    monkeypatch.setattr("harness.api.carry_out", lambda *a, **k: None)
    shutil.rmtree(planned.store.folder, ignore_errors=True)
    ended(planned.store, planned.trials)
    monkeypatch.setattr(api, "plan", lambda *a, **k: planned)
    api.publish(planned, None)

    def call(*words, edited=(), broken=False):
        breaks[:] = [1] * broken
        trials = tuple(
            t.model_copy(update={"plugin": t.plugin | {"source": "new"}})
            if t.label in edited
            else t
            for t in planned.trials
        )
        again = api.Plan(planned.benchmark, planned.source, trials, planned.store)
        monkeypatch.setattr(api, "plan", lambda *a, **k: again)
        return CliRunner().invoke(app, [*words])

    return call


def test_a_report_of_rows_of_other_code_is_kept_and_said_so(planned, reported):
    labels = {trial.label for trial in planned.trials}
    for words in (("report", "digits-smoke"), ("run", "digits-smoke", "--tracking", "off")):
        answer = reported(*words, "--results", str(planned.store.folder.parent), edited=labels)
        assert "no rows to report" in str(answer.exception) and "left as it is" in str(
            answer.exception
        )
        assert f"{len(planned.trials)} rows in {planned.store.trials}" in answer.output
        assert "1 of 'vae': its plugin was changed" in answer.output
        assert (planned.store.report / "rows.txt").read_text() == str(len(planned.trials))


def test_a_format_alone_empties_nothing_either(planned, reported, tmp_path):
    (tmp_path / "rows.csv").write_text("mine")
    labels = {trial.label for trial in planned.trials}
    words = ("report", "digits-smoke", "--format", "csv", "--out", str(tmp_path))
    answer = reported(*words, edited=labels)
    assert f"no rows to report; {tmp_path} was left as it is" in str(answer.exception)
    assert (tmp_path / "rows.csv").read_text() == "mine"


@pytest.mark.parametrize("command", ["report", "status", "run"])
def test_a_report_that_loses_some_rows_is_written_and_says_which(planned, reported, command):
    words = (command, "digits-smoke", "--results", str(planned.store.folder.parent))
    answer = reported(*words, edited={"vae"})
    assert answer.exit_code == 0
    assert f"not planned, so not reported: 1 row in {planned.store.trials}" in answer.output
    assert "1 of 'vae': its plugin was changed; plugin.source: " in answer.output
    if command != "status":
        assert (planned.store.report / "rows.txt").read_text() == str(len(planned.trials) - 1)


@pytest.mark.parametrize("command", ["report", "run"])
def test_a_format_that_fails_gives_a_code_and_the_others_are_written(planned, reported, command):
    words = (command, "digits-smoke", "--results", str(planned.store.folder.parent))
    assert reported(*words).exit_code == 0
    answer = reported(*words, broken=True)
    assert answer.exit_code == 1
    assert "page: not written, it failed: RuntimeError: no font" in answer.output
    assert f"text: {planned.store.report / 'rows.txt'}" in answer.output
