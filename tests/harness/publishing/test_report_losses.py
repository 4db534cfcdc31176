"""No report is lost in silence: to an empty one, to a format that fails, to a process that dies."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from support.rows import make_results, make_row

from harness.errors import UserError
from harness.files.scratch import scratch_folder
from harness.hooks import ReportInfo
from harness.plugins.registry import Registered
from harness.publishing import report_folder
from harness.publishing.formats import comparison, write_formats


def written_by(**formats):
    """A registry whose report formats are functions."""
    entries = {
        name: Registered(ReportInfo(name, "", "none:x"), "theirs", "1.0") for name in formats
    }
    return SimpleNamespace(
        reports=entries, report=entries.__getitem__, load=lambda info: formats[info.name]
    )


def text(results, folder):
    path = folder / "rows.txt"
    path.write_text("".join(f"{row.label}\n" for row in results.rows))
    return path


def breaks(results, folder):
    (folder / "half").mkdir()
    (folder / "half/page.html").write_text("<table>")
    raise RuntimeError("no such font")


def leaves(results, folder):
    sys.exit("bye")


def returns_nothing(results, folder):
    (folder / "page.html").write_text("<table>")


def returns_a_word(results, folder):
    return "page.html"


def returns_what_is_not_there(results, folder):
    return folder / "page.html"


def returns_what_lies_elsewhere(results, folder):
    return Path(__file__)


FULL = [make_row("vae"), make_row("ddpm")]


def test_an_empty_report_replaces_no_full_one(tmp_path):
    formats = written_by(text=text)
    report_folder.write(make_results(FULL), tmp_path / "report", formats)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match=r"no rows.*a report of 2 rows, which was left as it is"):
        report_folder.write(make_results([]), tmp_path / "report", formats)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_first_report_may_be_empty_and_an_empty_one_is_replaced(tmp_path):
    formats = written_by(text=text)
    for rows in ([], [], FULL[:1]):
        written = report_folder.write(make_results(rows), tmp_path / "report", formats)
        assert len(written.files["text"].read_text().splitlines()) == len(rows)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (breaks, "RuntimeError: no such font"),
        (leaves, "SystemExit: bye"),
        (returns_nothing, "it returned None, not the path of a file that it wrote in the folder"),
        (returns_a_word, "it returned 'page.html'"),
        (returns_what_is_not_there, "page.html')"),
        (returns_what_lies_elsewhere, "test_report_losses.py')"),
    ],
)
def test_a_format_that_fails_is_named_and_leaves_nothing_and_the_others_are_written(
    tmp_path, fault, expected
):
    formats = written_by(a=fault, text=text)
    written = report_folder.write(make_results(FULL), tmp_path / "report", formats)
    assert written.files == {"text": tmp_path / "report/rows.txt"}
    assert written.failed.keys() == {"a"} and expected in written.failed["a"]
    assert not list((tmp_path / "report").rglob("*.html"))
    assert report_folder.read(tmp_path / "report").rows


def test_what_lay_in_a_folder_before_a_format_failed_there_stays(tmp_path):
    (tmp_path / "notes.html").write_text("mine")
    written = write_formats(make_results(FULL), tmp_path, written_by(a=breaks), ["a"])
    assert written.failed and not written.files
    assert [path.name for path in tmp_path.iterdir()] == ["notes.html"]


KILLED = """
import os, sys
from pathlib import Path
from harness.files.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), ".report-") as folder:
    (folder / "pictures").mkdir()
    (folder / "pictures/a.png").write_bytes(b"half")
    os._exit(9)
"""


def test_what_a_kill_left_is_removed_by_the_next_report(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)])
    (tmp_path / ".report-abcd_012").mkdir()  # before folders were locked
    assert len(list(tmp_path.glob(".report-*/pictures"))) == 1
    report_folder.write(make_results(FULL), tmp_path / "report", written_by(text=text))
    assert os.listdir(tmp_path) == ["report"]


def test_what_another_process_is_writing_stays_as_does_what_is_no_such_folder(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("")
    results = tmp_path / "results"
    results.mkdir()
    (results / ".report-linked_0").symlink_to(elsewhere)
    (results / ".report-notes_00").write_text("mine")
    (results / ".report-of-the-committee").mkdir()
    before = sorted(os.listdir(results))
    with scratch_folder(results, ".report-") as folder:
        (folder / "rows.jsonl").write_text("half")
        report_folder.write(make_results(FULL), results / "report", written_by(text=text))
        assert (folder / "rows.jsonl").read_text() == "half"
    assert sorted(os.listdir(results)) == [*before, "report"]
    assert (elsewhere / "mine").exists()


def test_entries_are_compared_by_the_first_report_that_brings_a_comparison():
    def brings(name, comparison):
        return Registered(ReportInfo(name, "", "none:x", comparison=comparison), "theirs", "1.0")

    entries = {"z": brings("z", "theirs:z"), "b": brings("b", "theirs:b"), "a": brings("a", "")}
    found = SimpleNamespace(reports=entries, load=lambda info: info.target)
    assert comparison(found) == "theirs:b"
    found.reports = {"a": entries["a"]}
    with pytest.raises(UserError, match="^no installed report compares entries; there are: a$"):
        comparison(found)
