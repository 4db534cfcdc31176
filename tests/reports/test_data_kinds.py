"""What tables call figures depends on what the data are."""

import pytest
from support.rows import SPEED, make_results, make_row, reference

from harness.row import Measurement
from harness_reports.charts.drawings import draw
from harness_reports.latex import to_latex
from harness_reports.leaderboard import leaderboard
from harness_reports.markdown import to_markdown
from harness_reports.statistics.pareto import trade_off
from harness_reports.table import tables, tables_of

ANCHORS = dict.fromkeys(
    (
        "bits_per_dim",
        *(f"bits_per_dim_{name}" for name in "histogram neighbours zlib lzma".split()),
    ),
    Measurement(value=4.5, kind="exact"),
)


def rows(kind):
    own = {"data_kind": kind, "dataset": kind, "fingerprint": kind}
    null = reference("null", 48.2, 1.31, **own)
    null.metrics.update(ANCHORS)
    speed = {"images_per_second": Measurement(value=5.0, protocol=SPEED)}
    return [make_row("vae", **own), make_row("ddpm", 1.0, metrics=speed, **own), null]


@pytest.mark.parametrize(
    ("kind", "bits", "speed", "flops"),
    [
        ("", "bits/dim", "images/s", "FLOPs/image"),
        ("image", "bits/dim", "images/s", "FLOPs/image"),
        ("video", "bits/dim", "samples/s", "FLOPs/sample"),
        ("audio", "bits/dim", "samples/s", "FLOPs/sample"),
        ("text", "bits/char", "samples/s", "FLOPs/sample"),
    ],
)
def test_headings_follow_the_kind_of_the_data_in_every_format(kind, bits, speed, flops):
    results = make_results(rows(kind))
    [table] = tables_of(results)
    assert {bits, speed, flops} <= set(table.columns)
    assert table.columns[bits].better == "lower" and table.columns[speed].machine
    others = {"bits/dim", "bits/char", "images/s", "samples/s", "FLOPs/image", "FLOPs/sample"}
    others -= {bits, speed, flops}
    for text in (to_markdown(results), to_latex(results)):
        assert all(heading in text for heading in (bits, speed, flops))
        assert not any(heading in text for heading in others)
    assert f"Kinds of {bits}, never ranked together: exact, ≤ upper bound." in table.remarks
    assert any(remark.startswith(f"Anchors in {bits},") for remark in table.remarks)
    [drawing] = [d for d in draw(table, results.curves).charts if d.name == "pareto-speed"]
    assert drawing.title == f"FID against {speed}"


def test_kinds_of_data_share_a_frame_and_a_front_each():
    frame = leaderboard([*rows("image"), *rows("text")])
    text = frame[frame["Dataset"] == "text"]
    assert text["bits/char"].notna().sum() == 3 and text["bits/dim"].isna().all()
    points = trade_off(frame, "FID", "samples/s")
    assert points["Dataset"].eq("text").all() and points["front"].all()
    assert len(tables([*rows("image"), *rows("text")])) == 2
