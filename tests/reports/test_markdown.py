import re

import pytest
from support.rows import digits_rows, failed, make_results, make_row

from harness_reports.markdown import WIDTH, escape, terminal_table, to_markdown, write


def grid(text, heading):
    """Parse the first grid that has a column ``heading`` into {model: cell}."""
    lines = text.splitlines()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    start = next(i for i, row in enumerate(cells) if heading in row)
    column = cells[start].index(heading)
    body = {}
    for row in cells[start + 2 :]:
        if not row:
            break
        body[row[0]] = row[column]
    return body


def number(cell):
    return float(re.sub(r"[*≤~,]|±.*", "", cell))


def test_the_figures_are_the_rows_figures_rounded():
    rows = digits_rows()
    text = to_markdown(make_results(rows))
    for metric, heading, tolerance in (("fid", "FID", 5e-4), ("is", "IS", 5e-3 + 1e-9)):
        printed = grid(text, heading)
        for row in rows:
            value = row.metrics[metric].value
            assert number(printed[row.label]) == pytest.approx(value, abs=tolerance)
    speeds = grid(text, "images/s")
    assert speeds["ddpm"] == "7.18" and speeds["vae"] == "36,500"


def test_it_fits_a_terminal():
    rows = [*digits_rows(), failed("glow", "out_of_memory", "needed 12 GiB " * 30)]
    for text in (to_markdown(make_results(rows)), terminal_table(rows)):
        assert max(map(len, text.splitlines())) <= WIDTH


def test_the_first_grid_has_quality_and_status_together():
    rows = [*digits_rows(), failed("glow", "out_of_memory", "needed 12 GiB")]
    first = terminal_table(rows).splitlines()[2]
    assert [h.strip() for h in first.split("|")[1:-1]] == [
        "Model",
        "FID",
        "IS",
        "bits/dim",
        "images/s",
        "Status",
    ]


def test_short_types_stand_in_the_first_grid():
    first = terminal_table([make_row("dcgan", type="GAN")]).splitlines()[2]
    assert "Type" in first and "images/s" in first


def test_the_best_is_bold():
    printed = grid(to_markdown(make_results(digits_rows())), "FID")
    assert [model for model, cell in printed.items() if cell.startswith("**")] == ["sngan"]


def test_failures_are_rows_and_say_why():
    rows = [*digits_rows(), failed("glow", "diverged", "loss is NaN\nTraceback: long")]
    text = to_markdown(make_results(rows))
    assert grid(text, "Status")["glow"] == "diverged" and grid(text, "FID")["glow"] == "–"
    assert "- **glow: diverged.** loss is NaN\n" in text


def test_tables_apart_say_why():
    text = to_markdown(make_results([make_row(), make_row("ddpm", protocol={"version": 2})]))
    assert "A table of its own: version is 2, not 1" in text


def test_hostile_names_are_text():
    hostile = "<script>alert(1)</script> | `x` [a](b) *b*"
    text = to_markdown(make_results([make_row(label=hostile)]))
    assert "<script" not in text
    (name,) = grid(text, "FID")
    assert name == (r"&lt;script&gt;alert(1)&lt;/script&gt; \| \`x\` \[a\](b) \*b\*")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("out_of_memory", "out_of_memory"),
        ("_x_", r"\_x\_"),
        ("~~x~~ y", r"\~\~x\~~ y"),
        ("~ 3", "~ 3"),
    ],
)
def test_only_what_would_act_is_escaped(text, escaped):
    assert escape(text) == escaped


def test_without_rows_it_says_so(tmp_path):
    path = write(make_results([]), tmp_path / "new")
    assert path.name == "leaderboard.md" and "No trial has ended yet." in path.read_text()


@pytest.mark.parametrize(
    ("start", "shown"),
    [("- a", r"\- a"), ("+ a", r"\+ a"), ("# a", r"\# a"), ("12. a", r"12\. a"), ("1) a", r"1\) a")]
    + [("---", r"\---"), ("==", r"\=="), ("-1.5 a", "-1.5 a"), ("a - b", "a - b"), ("1.5", "1.5")],
)
def test_a_line_that_begins_in_the_middle_of_a_reason_begins_nothing_else(start, shown):
    reason = f"{'x' * (WIDTH - 3)} {start}"
    text = to_markdown(make_results([make_row(), failed("dcgan", "error", reason)]))
    assert f"x\n  {shown}\n" in text


def test_a_label_is_neither_a_bar_nor_code_nor_mathematics_nor_html():
    label = "a|b`c`$x^2$<i>*d*_e_ \\|"
    [line] = [
        line
        for line in to_markdown(make_results([make_row(label=label)])).splitlines()
        if line.startswith("| a") and "variational" in line
    ]
    assert line.startswith(r"| a\|b\`c\`\$x^2\$&lt;i&gt;\*d\*\_e\_ \\\| |")
