"""Charts hold the figures that the statistics give, and no others."""

import pandas as pd
import pytest
from support.rows import digits_rows, make_curves, make_row

from harness_reports.charts.anytime import anytime
from harness_reports.charts.curves import curves, measured
from harness_reports.charts.drawings import draw, draw_ranks
from harness_reports.charts.names import ABOVE, BELOW, pixels, sides
from harness_reports.charts.pareto import pareto
from harness_reports.charts.ranks import critical_difference_diagram
from harness_reports.charts.staircase import staircase
from harness_reports.charts.style import PALETTE, colours, save, specification
from harness_reports.leaderboard import leaderboard
from harness_reports.statistics.anytime import progress
from harness_reports.statistics.anytime import staircase as steps_of
from harness_reports.statistics.observations import observations
from harness_reports.statistics.pareto import trade_off
from harness_reports.statistics.ranks import ranks
from harness_reports.table import tables


def data(chart):
    """Return the points of a chart by its data sets, as one frame."""
    return pd.concat(map(pd.DataFrame, chart.to_dict()["datasets"].values()), ignore_index=True)


@pytest.fixture(scope="module")
def rows():
    models = {"vae": 3.0, "ddpm": 0.6, "dcgan": 2.4}
    return [
        make_row(m, fid + seed / 10, seed=seed) for m, fid in models.items() for seed in (0, 1, 2)
    ]


@pytest.fixture(scope="module")
def points(rows):
    return measured(make_curves(rows), {row.trial: row.label for row in rows}, "fid")


def test_only_finite_figures_of_the_asked_trials_are_measured():
    points = pd.DataFrame(
        {"trial": list("aabc"), "label": "old", "fid": [1.0, float("inf"), None, 2.0]}
    )
    found = measured(points, {"a": "new", "b": "other"}, "fid")
    assert found[["label", "fid"]].to_numpy().tolist() == [["new", 1.0]]
    assert measured(points, {"a": "new"}, "kid").empty


def test_curves_draw_every_seed_and_anytime_its_means(points):
    drawn = data(curves(points, "fid", "flops", ["ddpm", "dcgan", "vae"]))
    assert len(drawn) == len(points) == 3 * 3 * 6
    means = progress(points, "fid")
    shown = data(anytime(means, "fid", ["ddpm", "dcgan", "vae"]))
    last = shown[(shown["model"] == "vae") & (shown["fraction"] == 1)]
    assert last["quality"].tolist() == pytest.approx([3.1] * len(last))
    assert (shown["low"] > 0).all() and (shown["low"] < shown["quality"]).all()


def test_the_staircase_descends_and_ends_with_the_most_that_was_used(points):
    end = float(points["flops"].max())
    steps = steps_of(points, "fid", "flops")
    chart = staircase(steps, "fid", "flops", end, ["ddpm"])
    shown = data(chart).dropna(subset=["until"]).drop_duplicates("used")
    assert shown["quality"].is_monotonic_decreasing and shown["until"].iloc[-1] == end
    assert shown["used"].tolist()[1:] == shown["until"].tolist()[:-1]


def test_the_front_is_marked_and_joined():
    points = trade_off(leaderboard(digits_rows()), "FID", "images/s")
    shown = data(pareto(points, "FID", "images/s", ["sngan"])).drop_duplicates("model")
    front = set(shown[shown["front"] == "on the front"]["model"])
    # dcgan is the fastest, sngan the best; vae is slower and worse than dcgan.
    assert front == {"sngan", "dcgan"} and len(shown) == 6


def test_names_of_neighbours_do_not_run_into_each_other():
    assert sides(["score-sde", "ddpm"], [60, 90], [50, 50]) == [ABOVE, BELOW]
    assert sides(["score-sde", "ddpm"], [60, 120], [50, 50]) == [ABOVE, ABOVE]
    # A point above is in the way too; where nothing is free, above is as good as below.
    assert sides(["a", "b"], [60, 60], [50, 61]) == [ABOVE, BELOW]
    assert sides(["a"] * 3, [60, 60, 60], [50, 50, 50]) == [ABOVE, BELOW, ABOVE]
    assert pixels([1, 10, 100], 100, 20) == pytest.approx([20, 50, 80])
    assert pixels([0, 1, 4], 100, 20) == pytest.approx([20, 35, 80])
    assert pixels([3], 100, 20) == [20]


def test_every_point_is_named_once_on_its_side():
    points = pd.DataFrame({"Model": ["score-sde", "ddpm", "vae"], "FID": [118.0, 117.5, 82.0]})
    points["images/s"], points["front"] = [50.0, 75.0, 40_000.0], [False, False, True]
    layers = pareto(points, "FID", "images/s", ["ddpm"]).to_dict()
    texts = [layer for layer in layers["layer"] if layer["mark"]["type"] == "text"]
    named = {
        line["model"]: layer["mark"]["dy"]
        for layer in texts
        for line in layers["datasets"][layer["data"]["name"]]
    }
    assert named == {"score-sde": ABOVE, "ddpm": BELOW, "vae": ABOVE}


def test_names_heed_the_points_that_have_none():
    """Of many models those on the front alone are named, on axes and among points of all."""
    points = pd.DataFrame({"Model": [f"m{i}" for i in range(18)], "FID": 1000.0, "images/s": 1.0})
    points["front"] = [True, True] + [False] * 16
    points.loc[:1, "FID"], points.loc[:1, "images/s"] = [10.0, 10.1], [1000.0, 1010.0]
    layers = pareto(points, "FID", "images/s", ["m0"]).to_dict()["layer"]
    assert {layer["mark"]["dy"] for layer in layers if layer["mark"]["type"] == "text"} == {
        ABOVE,
        BELOW,
    }


def test_ranks_stand_at_their_places_on_two_sides(rows):
    found = ranks(observations(rows, "fid"))
    shown = data(critical_difference_diagram(found))
    names = shown.dropna(subset=["edge"]).drop_duplicates("model").set_index("model")
    assert names["rank"].to_dict() == {"ddpm": 1.0, "dcgan": 2.0, "vae": 3.0}
    assert names["edge"].to_dict() == {"ddpm": 1, "dcgan": 1, "vae": 3}


def test_a_table_has_charts_of_what_differs_only(rows):
    (table,) = tables(rows)
    names = [drawing.name for drawing in draw(table, make_curves(rows)).charts]
    # All models of these rows are equally fast and used as much: no trade-off to show.
    assert not any(name.startswith("pareto") for name in names) and "anytime-fid" in names
    (table,) = tables(digits_rows())
    names = [drawing.name for drawing in draw(table, make_curves([])).charts]
    assert names == ["pareto-speed"]
    assert draw_ranks(digits_rows()) == []


def test_no_two_models_share_a_colour():
    labels = [f"model {i}" for i in range(40)]
    given = colours(labels)
    assert len(given) == len(set(given.values())) == len(PALETTE)
    assert list(given) == labels[: len(PALETTE)]


def test_a_key_is_in_the_file_and_not_in_the_page(points, tmp_path):
    chart = curves(points, "fid", "flops", ["ddpm", "dcgan", "vae"])
    save(chart, tmp_path / "charts" / "one")
    assert ">ddpm<" in (tmp_path / "charts" / "one.svg").read_text()
    made = specification(chart)
    legend = made["encoding"]["color"]["condition"]["legend"]
    assert legend is None and made["width"] == "container"


def test_drawn_twice_a_chart_is_the_same():
    def drawn():
        (table,) = tables(digits_rows())
        return [specification(d.chart) for d in draw(table, make_curves(digits_rows())).charts]

    assert drawn() == drawn()
