"""The reports that this project stands behind follow from their rows."""

import re
from pathlib import Path

import pytest

import harness
from harness.publishing.manifest import MANIFEST_NAME

PUBLISHED = Path(__file__).parents[2] / "reports" / "published"
REPORTS = sorted(path.parent for path in PUBLISHED.glob(f"*/{MANIFEST_NAME}"))


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_a_published_report_follows_from_its_rows(report):
    found = harness.verify(report)
    assert found.faults == ()


@pytest.mark.parametrize("report", REPORTS, ids=lambda path: path.name)
def test_a_published_report_is_complete_and_contains_nothing_of_the_machine_s_folders(report):
    results = harness.read_results(report)
    assert all(row.status in ("ok", "skipped") and row.planned for row in results.rows)
    assert len({row.provenance.get("commit") for row in results.rows if row.status == "ok"}) == 1
    assert not any(row.provenance.get("dirty") for row in results.rows)
    for row in results.rows:
        words = row.provenance.get("command", [])
        assert not any(word.startswith("/") for word in words)


def test_every_folder_of_published_reports_holds_one():
    folders = [path for path in PUBLISHED.iterdir() if path.is_dir()] if PUBLISHED.exists() else []
    assert sorted(folders) == REPORTS


def test_the_readme_shows_what_was_published():
    readme = (PUBLISHED.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = re.findall(
        r"<!-- leaderboard of (\S+): begin -->\n\n(.*?)\n\n<!-- leaderboard of \1: end -->",
        readme,
        re.DOTALL,
    )
    assert shown
    for report, tables in shown:
        published = (PUBLISHED.parents[1] / report / "leaderboard.md").read_text(encoding="utf-8")
        assert tables in published
