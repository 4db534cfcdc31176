"""Tables fit the terminal with nothing cut, and are whole lines in a pipe."""

import re
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from support.rows import failed
from support.stored import TRIAL
from typer.testing import CliRunner

from harness.cli import app
from harness.cli.tables import print_table
from harness.doctor import plugins
from harness.doctor.finding import ok, problem, warning
from harness.hooks import FeatureInfo, ModelInfo
from harness.plugins.registry import Registered

LONG = "a-label-without-any-spaces-" + "x" * 90
WIDE = "幅の広い文字" * 20


def screen(words, columns, terminal=True):
    """Return the lines that a command prints on a terminal of a width, without colours."""
    forced = {"FORCE_COLOR": "1"} if terminal else {}
    answer = CliRunner(env={"COLUMNS": str(columns)} | forced).invoke(app, words)
    return re.sub(r"\x1b\[[0-9;]*m", "", answer.output).splitlines()


@pytest.fixture
def planned(monkeypatch):
    trial = TRIAL.model_copy(update={"label": LONG, "dataset": WIDE})
    store = SimpleNamespace(row=lambda _: failed("vae", "error", f"{LONG} went wrong"))
    found = SimpleNamespace(trials=(trial,), store=store, unplanned=list)
    monkeypatch.setattr("harness.api.plan", lambda *a, **k: found)
    entry = Registered(ModelInfo(LONG, WIDE, "a:b", type=LONG), "theirs", "1")
    kinds = {"models": {"a": entry}, "broken": (), "conflicts": ()}
    monkeypatch.setattr("harness.plugins.registry.registry", lambda: SimpleNamespace(**kinds))
    return trial


@pytest.mark.parametrize("words", [("plan", "x"), ("status", "x"), ("list", "models")])
@pytest.mark.parametrize("columns", [80, 120])
def test_long_labels_are_broken_and_nothing_is_cut(planned, words, columns):
    lines = screen(words, columns)
    assert max(map(cell_len, lines)) <= columns
    letters = "".join(lines)
    assert "…" not in letters
    for text in (LONG, WIDE):
        assert letters.count(text[-1]) >= text.count(text[-1])
    if words[0] != "list":
        assert any(line.strip().startswith(planned.id) for line in lines)


@pytest.mark.parametrize("words", [("plan", "x"), ("status", "x"), ("list", "models")])
def test_a_pipe_has_a_whole_line_a_row_and_no_blanks_at_its_end(planned, words):
    lines = screen(words, 80, terminal=False)
    assert len(lines) == 2 and LONG in lines[1] and WIDE in lines[1]
    assert not any(line.endswith(" ") for line in lines)


def test_a_cell_of_several_lines_is_one_in_a_pipe(capsys):
    print_table([{"a": "1", "b": "two\nlines"}, {"a": "10", "b": ""}])
    assert capsys.readouterr().out == "a   b\n1   two lines\n10\n"


FOUND = [
    ok("Python", "3.11.7"),
    warning(
        "features " + "y" * 90, "its weights are not here; looked for /" + "z" * 120, "mend it"
    ),
    problem("results", "they cannot be written to, " * 9, "name another folder, " * 9),
    warning("plugin " + WIDE, WIDE, WIDE),
]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("columns", [80, 120])
def test_what_the_doctor_found_fits(monkeypatch, columns, terminal):
    monkeypatch.setattr("harness.doctor.examine", lambda results: FOUND)
    lines = screen(["doctor"], columns, terminal)
    assert max(map(cell_len, lines)) <= columns
    assert not any(line.endswith(" ") for line in lines)
    assert lines[0].split() == ["ok", "Python", "3.11.7"]
    letters = re.sub(r"\s+", "", "".join(lines))
    for finding in FOUND:
        for text in (finding.subject, finding.found, finding.remedy):
            assert re.sub(r"\s+", "", text) in letters
    assert sum("->" in line for line in lines) == 3


@pytest.mark.parametrize(
    ("unusable", "found", "remedy"),
    [
        (
            "it needs timm, which is not installed; run: pip install 'genharness[timm]'",
            "it needs timm, which is not installed",
            "pip install 'genharness[timm]'",
        ),
        (
            "the weights are damaged; install theirs again",
            "the weights are damaged",
            "install theirs again, or report it to its authors",
        ),
        ("it is odd", "it is odd", "install theirs again, or report it to its authors"),
    ],
)
def test_a_finding_has_one_remedy_that_fits(unusable, found, remedy):
    extractor = SimpleNamespace(unusable=lambda: unusable)
    registry = SimpleNamespace(load=lambda info: extractor)
    finding = plugins._feature_finding(
        registry, Registered(FeatureInfo("x", "", "a:b"), "theirs", "1")
    )
    assert (finding.found, finding.remedy) == (found, remedy)
