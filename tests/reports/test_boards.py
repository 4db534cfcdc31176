import pandas as pd
import pytest
from support.rows import PROTOCOL, digits_rows, failed, make_row, reference

from harness_reports.boards import boards
from harness_reports.statistics.comparisons import compare, pairwise
from harness_reports.statistics.intervals import intervals
from harness_reports.statistics.observations import observations


def models(board):
    return [row.label for row in board.rows]


def test_equal_terms_make_one_table():
    (board,) = boards(digits_rows())
    assert len(board.rows) == 8 and board.budget == "20 device-seconds" and board.apart == ""


def test_data_sets_and_budgets_have_tables_of_their_own():
    rows = [make_row(), make_row(dataset="mnist", fingerprint="e"), make_row(budget="5k steps")]
    assert [(b.dataset, b.budget) for b in boards(rows)] == [
        ("digits", "20 device-seconds"),
        ("digits", "5k steps"),
        ("mnist", "20 device-seconds"),
    ]


def test_another_version_of_the_data_is_another_table():
    _, second = boards([make_row(), make_row("ddpm", fingerprint="0" * 64)])
    assert second.apart == "fingerprint is 000000000000…, not ffffffffffff…"


def test_other_features_are_another_table_and_say_so():
    other = PROTOCOL | {"features": {"name": "digits-cnn", "digest": "cd34"}}
    first, second = boards([make_row(), make_row("ddpm", protocol=other)])
    assert models(first) == ["vae"] and models(second) == ["ddpm"]
    assert first.apart == "" and second.apart == "features.digest is cd34, not ab12"


def test_machines_part_tables_under_time_budgets_only():
    elsewhere = {"hardware": {"id": "gpu-1"}}
    timed = [make_row(), make_row("ddpm", **elsewhere)]
    counted = [make_row(budget="5k steps"), make_row("ddpm", budget="5k steps", **elsewhere)]
    assert [models(board) for board in boards(timed)] == [["vae"], ["ddpm"]]
    assert [models(board) for board in boards(counted)] == [["vae", "ddpm"]]


def test_a_machine_that_is_not_recorded_is_another_machine():
    first, second = boards([make_row(), make_row("ddpm", hardware={})])
    assert second.apart == "machine is not recorded, not cpu-2-abcdef"


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": "10 device-seconds"},
        {"fingerprint": "0" * 64},
        {"dataset": "mnist"},
        {"hardware": {"id": "gpu"}},
        {"protocol": PROTOCOL | {"version": 2}},
        {"protocol": PROTOCOL | {"samples": 100}},
        {"protocol": PROTOCOL | {"features": {"name": "digits-cnn", "digest": "0"}}},
        {"protocol": PROTOCOL | {"precision": "bf16"}},
        {"protocol": PROTOCOL | {"compile": True}},
        {"protocol": PROTOCOL | {"averaging": 1}},
    ],
    ids=str,
)
def test_nothing_is_compared_across_what_differs(changes):
    """Neither in one table, nor in one mean, nor in a pair, nor in a rank."""
    rows = [make_row(model, seed=s) for model in ("vae", "ddpm") for s in range(3)]
    other = [make_row("ddpm", 1.0, seed=s, **changes) for s in range(3)]
    assert len(boards([*rows, *other])) == 2
    figures = observations([*rows, *other], "fid")
    assert compare(figures, "vae", "ddpm")["table"].tolist() == [0]
    assert set(intervals(figures).reset_index()["mean"]) == {3.186, 1.0}
    apart = figures[figures["label"] != "vae"]
    assert pairwise(
        pd.concat([figures[figures["label"] == "vae"], apart[apart["table"] == 1]])
    ).empty


def test_every_spelling_of_time_is_a_time_budget():
    for budget in ("90s", "90 s", "20 device-seconds", "5 min", "1h", "2 hours"):
        rows = [make_row(budget=budget), make_row("ddpm", budget=budget, hardware={"id": "x"})]
        assert len(boards(rows)) == 2, budget
    for budget in ("2 PFLOP", "300k images", "5k steps", "100 steps"):
        rows = [make_row(budget=budget), make_row("ddpm", budget=budget, hardware={"id": "x"})]
        assert len(boards(rows)) == 1, budget


def test_references_stand_in_every_table_measured_as_they_were():
    other = PROTOCOL | {"samples": 1000}
    rows = [
        reference("real", 0.01, 9.4),
        make_row(),
        make_row("ddpm", budget="5k steps"),
        make_row("sngan", protocol=other),
    ]
    assert [models(board) for board in boards(rows)] == [
        ["test set", "vae"],
        ["test set", "ddpm"],
        ["sngan"],
    ]


def test_a_failure_that_knows_little_stands_in_the_first_table_it_does_not_contradict():
    killed = failed("glow", "killed", "kill -9", protocol={}, hardware={})
    rows = [make_row(), make_row("ddpm", budget="5k steps"), killed]
    assert [models(board) for board in boards(rows)] == [["vae", "glow"], ["ddpm"]]


def test_nothing_vanishes():
    rows = [failed("glow", "error", "no such file"), reference("null", 48.0, 1.3, dataset="mnist")]
    assert sorted(label for board in boards(rows) for label in models(board)) == ["glow", "noise"]
    assert boards([]) == []
