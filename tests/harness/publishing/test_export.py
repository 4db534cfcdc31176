"""Rows as tables for other programs."""

import pandas as pd
from support.rows import digits_rows, make_row

from harness.publishing.export import FIGURE_COLUMNS, export, figures_frame
from harness.row import Measurement


def test_a_figure_is_a_line_and_so_is_each_of_its_sets():
    fid = Measurement(value=2.0, error=1.0, protocol="p", sets=(1.0, 3.0))
    none = Measurement(value=None, reason="no likelihood")
    frame = figures_frame([make_row("vae", metrics={"fid": fid, "bits_per_dim": none})])
    assert list(frame.columns) == list(FIGURE_COLUMNS)
    lines = frame[frame["metric"] == "fid"]
    assert lines["set"].tolist() == [pd.NA, 0, 1]
    assert lines["value"].tolist() == [2.0, 1.0, 3.0]
    assert lines["error"].tolist() == [1.0, pd.NA, pd.NA]
    assert set(lines["protocol"]) == {"p"}
    [missing] = frame[frame["metric"] == "bits_per_dim"].to_dict("records")
    assert pd.isna(missing["value"]) and missing["reason"] == "no likelihood"


def test_both_files_of_a_table_say_the_same(tmp_path):
    mixed = [make_row("vae", config={"x": 1}), make_row("dcgan", config={"x": "two", "y": [3]})]
    written = export([*digits_rows(), *mixed], tmp_path / "out")
    assert [path.name for path in written] == [
        "rows.csv",
        "rows.parquet",
        "figures.csv",
        "figures.parquet",
    ]
    figures = pd.read_parquet(tmp_path / "out" / "figures.parquet")
    assert figures.equals(figures_frame([*digits_rows(), *mixed]))
    text = pd.read_csv(tmp_path / "out" / "figures.csv")
    assert text["value"].tolist() == figures["value"].tolist()
    rows = pd.read_parquet(tmp_path / "out" / "rows.parquet")
    assert rows["config.x"].dropna().tolist() == ["1", '"two"']
    assert rows["fid"].tolist() == pd.read_csv(tmp_path / "out" / "rows.csv")["fid"].tolist()
