"""The store: folders renamed into place, rows checked, one run at a time."""

import json
import os
import shutil
from pathlib import Path

import pytest
from support.stored import TRIAL, curve, trial

from harness.errors import UserError
from harness.files.disk import write_atomically
from harness.planning.benchmark import parse_benchmark
from harness.publishing.reading import read_results
from harness.publishing.report_folder import read_rows
from harness.storage.store import LOG_END, Store, read_row, tail


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path, "mine")


def test_a_trial_has_no_row_until_it_has_ended(store):
    folder = store.begin(TRIAL)
    assert store.row(TRIAL.id) is None
    assert not store.ended(TRIAL.id).exists()
    (folder / "samples.npz").write_text("x")
    store.finish(TRIAL.row("ok"))
    assert store.row(TRIAL.id) == TRIAL.row("ok")
    assert (store.ended(TRIAL.id) / "samples.npz").exists()
    assert not store.working(TRIAL.id).exists()


def test_a_killed_trial_resumes_with_its_files_and_without_its_row(store):
    (store.begin(TRIAL) / "checkpoint.pt").write_text("state")
    store.finish(TRIAL.row("killed", "by hand"))
    folder = store.begin(TRIAL)
    assert (folder / "checkpoint.pt").read_text() == "state"
    assert not (folder / "row.json").exists()
    assert store.row(TRIAL.id) is None


def test_a_failed_trial_restarts(store):
    (store.begin(TRIAL) / "checkpoint.pt").write_text("state")
    store.finish(TRIAL.row("error", "broken"))
    assert not (store.begin(TRIAL) / "checkpoint.pt").exists()


def test_a_trial_whose_driver_died_keeps_its_checkpoint(store):
    (store.begin(TRIAL) / "checkpoint.pt").write_text("state")
    assert (store.begin(TRIAL) / "checkpoint.pt").read_text() == "state"


@pytest.mark.parametrize("content", ["", "{", "{}", '{"schema_version": 1, "trial": 7}', "[1]"])
def test_a_damaged_row_is_named(store, content):
    store.begin(TRIAL)
    path = store.finish(TRIAL.row("ok")) / "row.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"{path} is damaged"):
        store.row(TRIAL.id)


def test_a_row_survives_json(store):
    row = TRIAL.row("ok", metrics={"fid": {"value": 0.1 + 0.2}, "is": {"value": None}})
    store.begin(TRIAL)
    assert read_row(store.finish(row) / "row.json") == row
    assert json.loads((store.ended(TRIAL.id) / "row.json").read_text())["schema_version"] == 1


def test_one_run_at_a_time_holds_a_trial(store, tmp_path):
    store.prepare()
    lock = store.claim(TRIAL.id)
    assert Store(tmp_path, "mine").claim(TRIAL.id) is None
    with Store(tmp_path, "mine").claim("another"):
        pass
    lock.release()
    with Store(tmp_path, "mine").claim(TRIAL.id):
        pass


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write results to"):
        Store(tmp_path / "file", "mine").prepare()


def test_a_working_folder_that_cannot_be_made_is_named(store):
    store.prepare()
    place = store.working(TRIAL.id)
    place.write_text("in the way")
    with pytest.raises(UserError, match=f"cannot write to {place}: File exists; fix"):
        store.begin(TRIAL)


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"old")
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")
    assert path.read_bytes() == b"old"


def test_results_gather_rows_curves_and_pictures_of_planned_trials_only(store):
    source = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "5 steps"'
    benchmark = parse_benchmark(source, "mine.toml")
    other = trial(seed=8)
    for one in (TRIAL, other):
        folder = store.begin(one)
        (folder / "samples.png").write_bytes(b"png")
        curve(one).to_parquet(folder / "curve.parquet")
        store.finish(one.row("ok"))
    found = store.results(benchmark, source, [TRIAL, trial(seed=9)])
    assert [row.trial for row in found.rows] == [TRIAL.id]
    assert found.pictures == {TRIAL.id: {"png": b"png"}}
    assert found.curves["trial"].tolist() == [TRIAL.id]


SEALED = ("row.json", "curve.parquet", "samples.png", "neighbours.wav", "interpolation.txt")


@pytest.mark.parametrize("name", [*SEALED, "environment.json", "log.txt", ""])
def test_no_link_in_the_results_of_others_is_followed(store, tmp_path, name):
    """Neither a link that stands for a file, nor one that stands for the trial's folder."""
    source = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "5 steps"'
    secret = tmp_path / "secret"
    store.begin(TRIAL)
    folder = store.finish(TRIAL.row("error", "broken"))
    (folder / "SHA256SUMS").unlink()
    if name:
        secret.write_bytes((folder / name).read_bytes() if name == "row.json" else b"secret")
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(secret)
    else:
        folder.rename(secret)
        folder.symlink_to(secret)
    with pytest.raises(UserError, match=f"{folder / name} is a symbolic link, and links are not"):
        found = store.results(parse_benchmark(source, "mine.toml"), source, [TRIAL])
        for kept in (found.pictures, found.neighbours, found.interpolations, found.environments):
            kept.get(TRIAL.id)


@pytest.mark.parametrize("place", ["ended", "working"])
def test_a_run_writes_through_no_link(store, tmp_path, place):
    """Such as one to the home folder, whose hidden files would pass for what a kill left."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".profile").write_text("mine")
    store.prepare()
    getattr(store, place)(TRIAL.id).symlink_to(home)
    with pytest.raises(UserError, match="is a symbolic link, and links are not followed"):
        store.begin(TRIAL)
    assert (home / ".profile").read_text() == "mine"
    assert len(list(home.iterdir())) == 1


def test_a_log_that_is_a_link_is_not_written_to(store, tmp_path):
    (tmp_path / "profile").write_text("mine")
    (store.begin(TRIAL) / "log.txt").symlink_to(tmp_path / "profile")
    assert not (store.begin(TRIAL) / "log.txt").exists()


def test_what_a_kill_left_half_done_is_removed_also_where_it_is_a_folder(store):
    (store.begin(TRIAL) / ".cache/inner").mkdir(parents=True)
    assert [path.name for path in store.begin(TRIAL).iterdir()] == ["trial.json"]


def test_a_trial_that_is_begun_again_while_it_is_looked_at_has_no_row(store, monkeypatch):
    store.begin(TRIAL)
    store.finish(TRIAL.row("killed", "by hand"))
    read = os.open

    def begun_by_another_run(path, *args, **options):
        if str(path).endswith("row.json"):
            monkeypatch.undo()
            store.begin(TRIAL)
        return read(path, *args, **options)

    monkeypatch.setattr(os, "open", begun_by_another_run)
    assert store.row(TRIAL.id) is None


def test_what_is_sealed_is_on_the_disk_before_its_folder_has_its_name(store, monkeypatch):
    """Or a power cut could leave a seal whose files are not there."""
    synced, when_renamed = set(), {}
    sync, rename = os.fsync, type(store.folder).rename

    def noted(descriptor):
        synced.add(os.fstat(descriptor).st_ino)
        sync(descriptor)

    def watched(path, target):
        places = {"": path} | {inner.name: inner for inner in path.iterdir()}
        when_renamed.update({name: p.stat().st_ino in synced for name, p in places.items()})
        return rename(path, target)

    working = store.begin(TRIAL)
    for name in ("samples.npz", "curve.parquet"):
        (working / name).write_bytes(b"not synced by who wrote it")
    (working / "log.txt").write_text("a log")
    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(type(store.folder), "rename", watched)
    store.finish(TRIAL.row("ok"))
    assert [name for name, done in when_renamed.items() if not done] == ["log.txt"]
    assert store.trials.stat().st_ino in synced


def test_reports_see_how_the_log_of_a_failed_trial_ends(store):
    source = 'name = "mine"\ndatasets = ["digits"]\nmodels = ["vae"]\nbudget = "5 steps"'
    both = [TRIAL, trial(seed=8)]
    for one, status in zip(both, ("error", "ok"), strict=True):
        folder = store.begin(one)
        (folder / "log.txt").write_text("first\n" + "a line\n" * 2000 + "the last: ü")
        (folder / "interpolation.png").write_bytes(b"png")
        store.finish(one.row(status))
    found = store.results(parse_benchmark(source, "mine.toml"), source, both)
    assert set(found.logs) == {TRIAL.id}
    text = found.logs[TRIAL.id]
    assert text.startswith("a line\n") and text.endswith("a line\nthe last: ü")
    assert LOG_END - len("a line\n") <= len(text.encode()) <= LOG_END
    assert found.interpolations == {one.id: {"png": b"png"} for one in both}


def test_a_short_file_is_its_own_tail_and_a_line_without_end_is_cut(tmp_path):
    path = tmp_path / "log.txt"
    path.write_bytes(b"one\ntwo\n")
    assert tail(path) == "one\ntwo\n"
    path.write_bytes(b"x" * 50)
    assert tail(path, 10) == "x" * 10


@pytest.mark.parametrize("harm", ["gone", "all gone", "a file", "a link", "ended by a file"])
def test_a_row_is_written_whatever_became_of_its_folder(store, tmp_path, harm):
    store.prepare()
    working = store.begin(TRIAL)
    if harm == "ended by a file":
        store.ended(TRIAL.id).write_text("in the way")
    else:
        shutil.rmtree(store.folder if harm == "all gone" else working)
    if harm == "a file":
        working.write_text("in the way")
    if harm == "a link":
        (tmp_path / "elsewhere").mkdir()
        working.symlink_to(tmp_path / "elsewhere")
    store.finish(TRIAL.row("error", "FileNotFoundError"))
    assert store.row(TRIAL.id).reason == "FileNotFoundError"
    assert not list(tmp_path.glob("elsewhere/*"))
    # Runs go on with other trials, and with this one.
    store.claim(trial(1).id).release()
    store.reporting().release()
    assert store.begin(TRIAL) == working


def test_the_folder_of_a_trial_that_was_copied_to_anothers_place_is_refused(store):
    store.begin(TRIAL)
    store.finish(TRIAL.row("ok"))
    shutil.copytree(store.ended(TRIAL.id), store.ended(trial(1).id))
    expected = f"holds the row of trial {TRIAL.id} .*, but its folder is that of trial"
    with pytest.raises(UserError, match=expected):
        store.row(trial(1).id)
    assert store.row(TRIAL.id) == TRIAL.row("ok")
    # Nor may such a folder be resumed, or read from outside.
    for read in (
        lambda: store.begin(trial(1)),
        lambda: read_results(store.folder),
        lambda: read_results(store.ended(trial(1).id) / "row.json"),
    ):
        with pytest.raises(UserError, match=expected):
            read()
    assert read_results(store.ended(TRIAL.id) / "row.json").rows == (TRIAL.row("ok"),)


def test_two_rows_of_one_trial_are_no_two_trials():
    line = TRIAL.row("ok").model_dump_json().encode() + b"\n"
    other = trial(1).row("ok").model_dump_json().encode() + b"\n"
    with pytest.raises(UserError, match=r"rows.jsonl, line 3: the row of .* is also in line 1"):
        read_rows(line + other + line, Path("rows.jsonl"))
    assert len(read_rows(line + other, Path("rows.jsonl"))) == 2


def test_a_row_whose_settings_are_not_those_of_its_id_is_refused(store):
    """As when a copied row was given the id of the folder, and sealed again."""
    other = trial(1)
    store.begin(other)
    store.finish(TRIAL.row("ok").model_copy(update={"trial": other.id}))
    with pytest.raises(UserError, match=f"has the id {TRIAL.id}, not {other.id}"):
        store.row(other.id)
    store.begin(trial(2))
    store.finish(trial(2).row("ok").model_copy(update={"budget": "6 steps"}))
    with pytest.raises(UserError, match="its settings were changed after it ran"):
        store.row(trial(2).id)
