import csv
import subprocess
import sys

import pandas as pd
import pytest
from support.rows import FID, digits_rows, failed, make_results, make_row, reference

from harness.frame import rows_frame
from harness.row import Measurement
from harness_reports.rows_csv import write


def test_a_line_has_every_figure_of_its_row():
    row = make_row("vae", 3.186, seed=4)
    line = rows_frame([row]).iloc[0]
    assert line["label"] == "vae" and line["seed"] == 4 and line["parameters"] == 1_200_000
    assert line["fid"] == 3.186 and line["fid.error"] == 0.042 and line["fid.protocol"] == FID
    assert line["bits_per_dim.kind"] == "lower_bound"
    assert line["seconds"] == row.usage.seconds and line["phases.eval"] == 3.2
    assert line["config.width"] == 32 and line["protocol.features.digest"] == "ab12"
    assert line["hardware"] == "cpu-2-abcdef"


def test_rows_without_figures_are_lines_too():
    frame = rows_frame([make_row(), failed("glow", "diverged", "loss is NaN")])
    assert list(frame["status"]) == ["ok", "diverged"]
    assert pd.isna(frame["fid"][1]) and frame["reason"][1] == "loss is NaN"


def test_a_metric_called_like_a_column_does_not_replace_it():
    row = make_row(metrics={"seed": Measurement(value=9.0)})
    line = rows_frame([row]).iloc[0]
    assert line["seed"] == 0 and line["metric.seed"] == 9.0


def test_no_rows_make_an_empty_frame():
    assert rows_frame([]).empty


def test_the_csv_gives_every_value_back(tmp_path):
    rows = digits_rows()
    third = make_row("vae", 1 / 3, seed=1, reason='quoted ", comma\nnewline')
    with write(make_results([*rows, third]), tmp_path).open(newline="") as file:
        lines = list(csv.DictReader(file))
    for row, line in zip([*rows, third], lines, strict=True):
        assert float(line["fid"]) == row.metrics["fid"].value
        assert float(line["flops"]) == row.usage.flops
    assert lines[-1]["reason"] == third.reason


def test_the_label_null_survives_being_read_as_documented(tmp_path):
    path = write(make_results([reference("null", 48.2, 1.31, label="null"), make_row()]), tmp_path)
    frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    assert list(frame["label"]) == ["null", "vae"]
    assert frame["fid"].tolist() == [48.2, 3.186] and pd.isna(frame["parameters"][0])


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("harness_reports", ("torch", "pandas", "altair", "jinja2")),
        ("harness_reports.page", ("torch", "mlflow")),
    ],
)
def test_what_importing_leaves_alone(module, absent):
    code = f"import sys, {module}; print([m for m in {absent} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
