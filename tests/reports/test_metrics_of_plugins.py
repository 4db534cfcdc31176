"""What a plugin says of its metric decides its column, also where the plugin is not installed."""

import re

import pytest
from support.rows import make_results, make_row, reference

from harness.frame import rows_frame
from harness.hooks import MetricInfo
from harness.plugins.registry import Registered
from harness.row import Measurement, Row
from harness.worker.metric_labels import labelled
from harness_reports.boards import boards
from harness_reports.charts.drawings import draw, draw_ranks
from harness_reports.columns import columns_of
from harness_reports.compare import sentences
from harness_reports.latex import to_latex
from harness_reports.leaderboard import leaderboard
from harness_reports.markdown import to_markdown
from harness_reports.page_data import leaderboards
from harness_reports.statistics.observations import observations
from harness_reports.statistics.pareto import trade_off
from harness_reports.statistics.ranks import ranks
from harness_reports.table import tables, tables_of

SPEEDS = {"a": 100.0, "b": 50.0, "c": 10.0}


def metric(value, **expected):
    return Measurement(value=value, protocol="of 360 samples", **expected)


def rows(figures, name="sharpness", also=None, **expected):
    """Rows of models with three seeds whose one metric of samples a plugin brought."""
    return [
        make_row(
            label,
            None,
            label=label,
            seed=seed,
            metrics={
                name: metric(figure + seed / 100, **expected),
                "images_per_second": Measurement(value=SPEEDS[label], protocol="batch 64"),
            }
            | (also or {}),
        )
        for label, figure in figures.items()
        for seed in range(3)
    ]


FIGURES = {"a": 1.0, "b": 2.0, "c": 3.0}
SHARP = {"label": "Sharpness", "lower_is_better": False}
BLUR = {"label": "Blur", "lower_is_better": True}


@pytest.mark.parametrize(("expected", "best"), [(SHARP, "c"), (BLUR, "a"), ({}, None)])
def test_heading_best_and_order_are_the_plugins_in_every_format(expected, best):
    results = make_results(rows(FIGURES, **expected))
    heading = expected.get("label", "sharpness")
    [table] = tables_of(results)
    assert [line.model for line in table.lines if line.cells[heading].best] == (
        [best] if best else []
    )
    better = {None: None, "c": "higher", "a": "lower"}[best]
    assert table.columns[heading].better == better
    assert table.lines[0].model == (best or "a")
    text = to_markdown(results)
    cells = [line.split("|") for line in text.splitlines() if line.startswith("|")]
    bold = [line[1].strip() for line in cells if re.search(r"\*\*[123]\.01", "|".join(line))]
    assert bold == ([best] if best else [])
    assert heading in text and (f"{heading} ({better} is better)" in text) == bool(best)
    latex = to_latex(results)
    assert heading in latex and (r"\textbf{" in latex.split(heading)[1]) == bool(best)
    columns = leaderboards([table], results)["tables"][0]["columns"]
    assert {c["heading"]: c["better"] for c in columns}[heading] == better


def test_ranks_groups_comparisons_and_fronts_follow_it():
    high, low = rows(FIGURES, **SHARP), rows(FIGURES, **BLUR)
    for found, order in ((high, ["c", "b", "a"]), (low, ["a", "b", "c"])):
        assert list(ranks(observations(found, "sharpness")).mean.index) == order
        frame = leaderboard(found)
        heading = found[0].metrics["sharpness"].label
        letters = frame.set_index("Model")[f"{heading} group"]
        assert [letters[label] for label in order] == ["A", "B", "C"]
        assert f"a is {'worse' if found is high else 'better'} than b" in " ".join(
            sentences(found, "a", "b", "sharpness")
        )
        front = trade_off(frame, heading, "images/s").set_index("Model")["front"]
        # The slowest is the sharpest; where little is good, the fastest beats all.
        assert list(front[order]) == ([True] * 3 if found is high else [True, False, False])
        assert f"over {heading}" not in (title := draw_ranks(found)[0].title)
        assert f"by {heading} over" in title
        [table] = tables(found)
        titles = [drawing.title for drawing in draw(table, make_results(found).curves).charts]
        assert f"{heading} against images/s" in titles


def test_fid_stays_the_order_where_there_is_one():
    found = rows(FIGURES, also={"fid": metric(1.0)}, **SHARP)
    [table] = tables(found)
    assert table.headline == "FID"


@pytest.mark.parametrize("name", ["fid", "bits_per_dim", "nfe"])
def test_no_column_of_dashes_for_a_metric_that_was_not_asked_for(name):
    heading = {"fid": "FID", "bits_per_dim": "bits/dim", "nfe": "NFE"}[name]
    found = rows(FIGURES, **SHARP)
    results = make_results(found)
    [table] = tables_of(results)
    assert heading not in table.columns
    for text in (to_markdown(results), to_latex(results)):
        assert f"| {heading} " not in text and f"& {heading} " not in text
    asked = {name: Measurement(value=None, reason="no such thing")}
    [table] = tables(rows(FIGURES, also=asked, **SHARP))
    assert heading in table.columns and "no such thing" in table.notes.values()


@pytest.mark.parametrize(
    ("expected", "headings"),
    [
        ({"x": "FID"}, {"x": "FID [x]"}),
        ({"x": "Status"}, {"x": "Status [x]"}),
        ({"x": "Score", "y": "score"}, {"x": "Score", "y": "score [y]"}),
        ({"x": "FID error"}, {"x": "FID error [x]"}),
        ({"x": "Blur (2)"}, {"x": "Blur (2) [x]"}),
        ({"x": " \x1b[31m\n"}, {"x": "[31m"}),
        ({"x": ""}, {"x": "x"}),
        ({"x": "Device time"}, {"x": "Device time [x]"}),
    ],
)
def test_no_two_columns_have_one_heading(expected, headings):
    metrics = {name: metric(1.0, label=label) for name, label in expected.items()}
    found = [make_row("vae", metrics=metrics)]
    columns = columns_of(found)
    assert {name: columns[name].heading for name in expected} == headings
    frame = leaderboard(found)
    assert frame.columns.is_unique and set(headings.values()) <= set(frame.columns)


def test_a_label_with_a_bracket_is_no_second_column_of_another_metric():
    metrics = {"x": metric(1.0, label="FID (mine)", lower_is_better=False), "fid": metric(2.0)}
    [table] = tables([make_row("vae", metrics=metrics)])
    assert table.columns["FID (mine)"].better == "higher"
    assert table.columns["FID (mine)"].group == "further"


def test_the_columns_of_a_group_stand_side_by_side():
    [table] = tables(rows(FIGURES, also={"kid": metric(1.0), "nfe": metric(1.0)}, **SHARP))
    groups = [shown.group for shown in table.columns.values()]
    assert len([*dict.fromkeys(groups)]) == sum(
        a != b for a, b in zip(groups, ["", *groups[:-1]], strict=True)
    )


def test_rows_that_contradict_each_other_leave_a_metric_unranked():
    one, two = rows(FIGURES, **SHARP), rows(FIGURES, label="Sharpness", lower_is_better=True)
    [board] = boards([*one[:3], *two[3:]])
    assert board.column("sharpness").better is None
    assert board.column("sharpness").heading == "Sharpness"


def test_a_label_may_be_anything(tmp_path):
    hostile = r"50% | \input{x} <b> `a` [c](d)"
    results = make_results(rows(FIGURES, label=hostile, lower_is_better=True))
    text = to_markdown(results)
    assert "<b>" not in text and r"\[c\](d)" in text
    assert r"\input{" not in to_latex(results)


def entry(name, label="", lower=True):
    return Registered(
        MetricInfo(name, "", "x:y", label=label, lower_is_better=lower), "theirs", "1"
    )


def test_a_row_carries_what_the_metric_says_of_itself():
    metrics = {"sharp": entry("sharp", "Sharpness", False), "sharp_2": entry("sharp_2")}
    names = ("sharp", "sharp_test", "sharp_seed2", "sharp_test_raw", "sharp_2", "sharp_edge", "nfe")
    found = labelled({name: metric(1.0) for name in names}, metrics)
    assert {name: m.label for name, m in found.items()} == {
        "sharp": "Sharpness",
        "sharp_test": "Sharpness test",
        "sharp_seed2": "Sharpness, seed 2",
        "sharp_test_raw": "Sharpness test, raw",
        "sharp_2": "sharp_2",
        "sharp_edge": None,
        "nfe": None,
    }
    assert [m.lower_is_better for m in found.values()] == [False] * 4 + [True, None, None]
    row = make_row("vae", metrics=found)
    assert Row.model_validate_json(row.model_dump_json()) == row


def test_rows_from_before_are_written_as_they_were():
    expected = make_row("vae").model_dump_json()
    assert '"label":"vae"' in expected and "lower_is_better" not in expected
    assert "sharpness.label" not in rows_frame(rows(FIGURES, **SHARP)).columns


def test_variants_of_what_we_do_not_rank_are_not_ranked():
    found = make_row(
        "vae", metrics={"density_test": metric(1.0, label="density test", lower_is_better=False)}
    )
    assert columns_of([found])["density_test"].better is None
    assert columns_of([reference("real", 0.1, 9.0)])["fid"].better == "lower"
