"""No text of others is a formula in the spreadsheet that opens a CSV file."""

import csv

import pandas as pd
import pytest
from support.rows import failed, make_results, make_row

from harness.publishing.export import export
from harness.row import Measurement
from harness_reports.rows_csv import write

FORMULAS = [
    '=HYPERLINK("http://evil.example","x")',
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "-",
]


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("formula", FORMULAS)
def test_text_that_would_be_a_formula_is_text(tmp_path, formula):
    row = failed(
        "vae",
        "error",
        formula,
        label=formula,
        trial="t",
        config={"act": formula, "depth": -3, "rate": -0.5, "sign": "-1.5", "plain": "a=b"},
        metrics={"=evil": Measurement(value=-1.0, protocol=formula)},
    )
    write(make_results([row], curves=pd.DataFrame(), pictures={}), tmp_path)
    export([row], tmp_path)
    [line] = read(tmp_path / "rows.csv")
    text = "'" + formula.replace("\r", "\n")
    for heading in ("label", "reason", "config.act", "'=evil.protocol"):
        assert line[heading] == text
    assert (line["config.depth"], line["config.rate"]) == ("-3", "-0.5")
    assert (line["config.sign"], line["config.plain"]) == ("-1.5", "a=b")
    assert line["'=evil"] == "-1.0"
    [figure] = read(tmp_path / "figures.csv")
    assert figure["label"] == figure["protocol"] == text
    assert figure["metric"] == "'=evil" and figure["value"] == "-1.0"


def test_numbers_of_a_column_that_has_text_too_stay_numbers(tmp_path):
    rows = [
        make_row("vae", config={"x": value}, trial=str(i), seed=i)
        for i, value in enumerate((-1, "-auto", None, float("-inf"), True))
    ]
    write(make_results(rows), tmp_path)
    assert [line["config.x"] for line in read(tmp_path / "rows.csv")] == [
        *("-1", "'-auto", "", "-inf", "True")
    ]
    # Parquet has types, and keeps text as it is.
    export(rows, tmp_path)
    assert '"-auto"' in list(pd.read_parquet(tmp_path / "rows.parquet")["config.x"])
