import pytest
from support.rows import failed, make_row, reference
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import UserError
from harness.row import Measurement
from harness_reports.compare import sentences


def three(model, *fids, **changes):
    return [make_row(model, fid, seed=seed, **changes) for seed, fid in enumerate(fids)]


MNIST = {"dataset": "mnist", "fingerprint": "e"}
ROWS = [*three("vae", 3.0, 3.1, 3.2), *three("ddpm", 1.0, 1.1, 1.3)]


def test_a_sentence_has_difference_interval_verdict_and_pairs():
    (text,) = sentences(ROWS, "vae", "ddpm")
    # Differences 2, 2, 1.9: mean 1.967, s / sqrt(3) = 0.0333, times 4.303.
    assert text == (
        "On digits (20 device-seconds), vae is worse than ddpm: FID 3.10 against 1.13, "
        "a difference of +1.97 (95% interval +1.82 to +2.11; 3 pairs by seed)."
    )
    (turned,) = sentences(ROWS, "ddpm", "vae")
    assert "ddpm is better than vae" in turned and "−1.97 (95% interval −2.11 to −1.82" in turned


def test_the_figures_are_of_the_seeds_that_both_have():
    rows = [*ROWS, make_row("vae", 99.0, seed=3), failed("ddpm", "killed", "-9", seed=3)]
    (text,) = sentences(rows, "vae", "ddpm")
    assert "FID 3.10 against 1.13" in text and "1 seed without a pair left out" in text


def test_what_is_not_known_is_said():
    (text,) = sentences([make_row("vae"), make_row("ddpm", 1.0)], "vae", "ddpm")
    assert "too few seeds to tell vae from ddpm" in text and "(no interval; 1 pair by seed)" in text
    alike = [*three("vae", 1.0, 1.2, 1.1), *three("ddpm", 1.1, 1.1, 1.2)]
    assert "vae and ddpm cannot be told apart" in sentences(alike, "vae", "ddpm")[0]


def test_several_data_sets_have_a_sentence_each_and_one_for_all():
    rows = [
        *ROWS,
        *three("vae", 30.0, 31.0, 30.0, **MNIST),
        *three("ddpm", 10.0, 11.0, 13.0, **MNIST),
    ]
    first, second, both = sentences(rows, "vae", "ddpm")
    assert first.startswith("On digits") and second.startswith("On mnist")
    assert both.startswith(
        "Over 2 tables (20 device-seconds), vae is worse than ddpm: FID of vae is 2.72 times that"
    )
    assert "6 pairs" in both


def test_budgets_are_not_taken_together():
    rows = [
        *ROWS,
        *three("vae", 3, 3, 3, budget="5k steps"),
        *three("ddpm", 1, 1, 1, budget="5k steps"),
    ]
    assert len(sentences(rows, "vae", "ddpm")) == 2


def test_metrics_without_a_direction_are_higher_or_lower():
    def gap(value):
        return {"fid_gap": Measurement(value=value)}

    rows = [
        make_row(m, 1.0, seed=s, metrics=gap(v + s / 9))
        for m, v in (("vae", 5.0), ("ddpm", 1.0))
        for s in range(3)
    ]
    assert "vae is higher than ddpm" in sentences(rows, "vae", "ddpm", "fid_gap")[0]


@pytest.mark.parametrize(
    ("a", "b", "metric", "message"),
    [
        (
            "vea",
            "ddpm",
            "fid",
            r"'vea' \(did you mean 'vae'\?\); there are: ddpm, nice, score-sde, vae",
        ),
        ("vae", "vae", "fid", "'vae' is one entry; name two"),
        ("vae", "test set", "fid", "'test set' is a reference"),
        ("vae", "ddpm", "fids", r"no row has the metric 'fids' \(did you mean 'fid'\?\)"),
        ("vae", "nice", "fid", r"on digits, 5k steps, a table of its own as budget is 5k steps"),
        ("vae", "score-sde", "bits_per_dim", "bits/dim, lower bound; seeds 0, 1, 2.*estimate"),
    ],
)
def test_errors_say_what_would_be_right(a, b, metric, message):
    rows = [*ROWS, reference("real", 0, 9), make_row("nice", budget="5k steps")]
    with pytest.raises(UserError, match=message):
        sentences([*rows, make_row("score-sde")], a, b, metric)


def test_the_command_prints_sentences(tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(row.model_dump_json() for row in ROWS))
    done = CliRunner().invoke(app, ["compare", "vae", "ddpm", str(rows)])
    assert done.stdout.splitlines() == sentences(ROWS, "vae", "ddpm") and done.exit_code == 0
    wrong = CliRunner().invoke(app, ["compare", "vae", "dpm", str(rows), "--metric", "is"])
    assert isinstance(wrong.exception, UserError) and "'ddpm'" in str(wrong.exception)
