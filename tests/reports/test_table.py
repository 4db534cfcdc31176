import math

from support.rows import FID, digits_rows, failed, make_results, make_row, reference

from harness.row import Measurement, Usage
from harness_reports.latex import to_latex
from harness_reports.markdown import to_markdown
from harness_reports.page import to_html
from harness_reports.page_data import trials
from harness_reports.table import tables


def cells(rows, heading, index=0):
    return {line.model: str(line.cells[heading]) for line in tables(rows)[index].lines}


def best(rows, heading):
    return {line.model for line in tables(rows)[0].lines if line.cells[heading].best}


def test_the_kind_of_a_likelihood_is_in_its_cell():
    rows = [make_row(model) for model in ("vae", "score-sde", "pixelcnn")]
    assert cells(rows, "bits/dim") == {
        "vae": "≤ 3.21 ± 0.01",
        "score-sde": "~ 2.95 ± 0.01",
        "pixelcnn": "2.80 ± 0.01",
    }


def test_kinds_of_likelihood_are_never_ranked_together():
    assert best(digits_rows(), "bits/dim") == {"realnvp"}
    rows = [make_row("score-sde"), make_row("pixelcnn"), make_row("vae")]
    assert best(rows, "bits/dim") == set()


def test_the_best_is_lowest_or_highest_as_the_column_has_it():
    rows = digits_rows()
    assert best(rows, "FID") == {"sngan"}
    assert best(rows, "IS") == {"score-sde"}
    assert best(rows, "images/s") == {"dcgan"}
    assert best(rows, "Parameters") == set()


def test_references_failures_and_infinities_are_never_best():
    infinite = {"fid": Measurement(value=-math.inf, protocol=FID)}
    rows = [reference("real", 0.0, 9.9), make_row(), make_row("ddpm", 1.0)]
    assert best([*rows, make_row("nice", metrics=infinite)], "FID") == {"ddpm"}
    assert best([reference("real", 0.0, 9.9), make_row()], "FID") == set()


def test_a_column_has_equal_decimals():
    assert cells(digits_rows(), "FID") == {
        "test set": "0.011",
        "sngan": "0.487 ± 0.042",
        "score-sde": "0.525 ± 0.042",
        "ddpm": "0.647 ± 0.042",
        "realnvp": "1.385 ± 0.042",
        "dcgan": "2.379 ± 0.042",
        "vae": "3.186 ± 0.042",
        "noise": "48.200",
    }


def test_costs_are_in_units_of_people():
    rows = [make_row()]
    expected = {
        "Parameters": "1.20M",
        "FLOPs/image": "3.40 GFLOP",
        "Device time": "20.0 s",
        "Training FLOPs": "4.20 TFLOP",
        "Images seen": "301k",
        "Steps": "4,704",
    }
    assert {heading: cells(rows, heading)["vae"] for heading in expected} == expected


def test_spreads_over_seeds_have_units_too_and_counts_that_agree_have_none():
    def counted(flops):
        return {"flops_per_image": Measurement(value=flops)}

    rows = [make_row(metrics=counted(3.2e9)), make_row(seed=1, metrics=counted(3.6e9))]
    # Half of the interval of two seeds is 12.7 standard errors of 200 MFLOP.
    assert cells(rows, "FLOPs/image")["vae"] == "3.40 GFLOP ± 2.54 GFLOP"
    assert cells(rows, "NFE")["vae"] == "1"


def test_captions_say_what_was_measured():
    (table,) = tables(digits_rows())
    assert table.captions["FID"] == f"FID (lower is better): {FID}."
    assert "vae: IWAE, k=64" in table.captions["bits/dim"]
    assert any("≤ upper bound, ~ estimate" in remark for remark in table.remarks)
    assert "exact" not in " ".join(table.remarks)


def remark(rows, start):
    return [text for text in tables(rows)[0].remarks if text.startswith(start)]


def test_what_the_spread_is_depends_on_the_seeds():
    one, two = [make_row()], [make_row(), make_row(seed=1)]
    assert "within one training seed" in remark(one, "±")[0]
    assert "over training seeds" in remark(two, "±")[0] and len(remark(two, "±")) == 1
    assert cells(one, "FID")["vae"] == "3.19 ± 0.04"


def test_a_spread_within_one_seed_is_marked_beside_spreads_over_several():
    rows = [make_row(fid=3.0 + seed / 10, seed=seed) for seed in range(3)] + [make_row("ddpm")]
    figures = cells(rows, "FID")
    # s = 0.1, so half of the interval is 4.303 x 0.1 / sqrt(3).
    assert figures == {"vae": "3.10 ± 0.25", "ddpm": "3.19 ± 0.04†"}
    assert "the measurement's own error" in remark(rows, "± †")[0]


def test_a_cell_has_its_interval_and_its_standard_error():
    rows = [make_row(fid=3.0 + seed / 10, seed=seed) for seed in range(3)]
    cell = tables(rows)[0].lines[0].cells["FID"]
    assert (cell.interval, cell.standard_error) == ("2.85 to 3.35", "0.06")
    assert tables([make_row()])[0].lines[0].cells["FID"].interval == ""


def test_the_second_best_is_known_for_each_kind():
    rows = [make_row("vae", 3.0), make_row("ddpm", 1.0), make_row("dcgan", 2.0)]
    (table,) = tables(rows)
    second = {
        heading: [x.model for x in table.lines if x.cells[heading].second]
        for heading in ("FID", "bits/dim", "IS")
    }
    assert second == {"FID": ["dcgan"], "bits/dim": ["ddpm"], "IS": []}


def test_models_that_cannot_be_told_apart_share_a_letter():
    rows = [
        *[make_row("ddpm", fid, seed=seed) for seed, fid in enumerate((1.0, 1.3, 1.1))],
        *[make_row("sngan", fid, seed=seed) for seed, fid in enumerate((1.2, 1.1, 1.3))],
        *[make_row("vae", fid, seed=seed) for seed, fid in enumerate((9.1, 9.0, 9.2))],
    ]
    (table,) = tables([*rows, make_row("dcgan", 5.0), reference("real", 0.0, 9.0)])
    letters = {line.model: table.letters(line) for line in table.lines}
    assert letters == {"ddpm": "A", "sngan": "A", "vae": "B", "dcgan": "", "test set": ""}
    assert remark(rows, "Group")


def test_too_few_seeds_to_compare_models_are_said_to_be():
    rows = [make_row("vae"), make_row("ddpm")]
    assert not tables(rows)[0].grouped
    assert remark(rows, "With fewer than 3 seeds")


def test_what_columns_share_is_said_once():
    how = "cnn 12ab, 360 samples against 1437 of train"
    kid = {"kid": Measurement(value=1.0, protocol=f"{how}, cubic kernel")}
    fid = {"fid": Measurement(value=1.0, protocol=how)}
    mmd = {"mmd": Measurement(value=1.0, protocol="cnn 12ab, 360 samples")}
    (table,) = tables([make_row(metrics={**fid, **kid, **mmd, "is": mmd["mmd"]})])
    assert table.legend(["FID", "KID", "MMD²", "IS"]) == [
        "cnn 12ab, 360 samples. FID (lower is better): against 1437 of train; "
        "KID (lower is better): against 1437 of train, cubic kernel; "
        "MMD² (lower is better), IS (higher is better)."
    ]
    assert table.legend(["FID"]) == [f"FID (lower is better): {how}."]


def test_failures_have_their_policy_below_the_table():
    assert remark([make_row(), failed("glow", "killed", "-9")], "Trials without a figure")
    assert not remark([make_row()], "Trials without a figure")


def test_equal_notes_share_a_mark():
    none = {"bits_per_dim": Measurement(value=None, reason="no likelihood")}
    other = {"bits_per_dim": Measurement(value=None, reason="solver failed")}
    rows = [
        make_row("dcgan", 1.0, metrics=none),
        make_row("sngan", 2.0, metrics=none),
        make_row("score-sde", metrics=other),
    ]
    assert cells(rows, "bits/dim") == {"dcgan": "– [a]", "sngan": "– [a]", "score-sde": "– [b]"}
    assert tables(rows)[0].notes == {"a": "no likelihood", "b": "solver failed"}


def test_failures_keep_their_reason_and_get_no_marks():
    none = {"fid": Measurement(value=None, reason="diverged")}
    (table,) = tables([make_row(), failed("glow", "diverged", "loss is NaN", metrics=none)])
    assert table.lines[-1].reason == "loss is NaN" and table.notes == {}


def test_names_are_one_line_without_control_characters():
    (table,) = tables([make_row(label="a\nb\x1b[31m\u202ec", type="x\ty")])
    assert table.lines[0].model == "a b [31m c" and table.lines[0].type == "x y"


def test_likelihoods_that_need_no_model_are_a_remark_and_no_column():
    anchors = {
        "bits_per_dim": Measurement(value=8.0, kind="exact"),
        "bits_per_dim_histogram": Measurement(value=4.588, kind="exact"),
        "bits_per_dim_neighbours": Measurement(value=3.512, kind="exact"),
        "bits_per_dim_zlib": Measurement(value=4.473, kind="lower_bound"),
        "bits_per_dim_lzma": Measurement(value=3.872, kind="lower_bound"),
    }
    [table] = tables([make_row(), reference("null", 48.2, 1.31, metrics=anchors)])
    assert not [heading for heading in table.columns if "per_dim" in heading]
    [remark] = [text for text in table.remarks if text.startswith("Anchors")]
    assert "uniform 8.00, a histogram for each pixel 4.59" in remark
    assert "neighbour 3.51, zlib ≤ 4.47, lzma ≤ 3.87." in remark
    [bare] = tables([make_row(), reference("null", 48.2, 1.31)])
    assert not [text for text in bare.remarks if text.startswith("Anchors")]


def test_a_model_that_copies_its_training_data_is_marked_wherever_it_stands():
    copied = "copies its training data: 90.0% of the samples"
    rows = [
        make_row("vae", metrics={"memorisation": Measurement(value=0.01)}),
        make_row("dcgan", metrics={"memorisation": Measurement(value=0.9, reason=copied)}),
    ]
    (table,) = tables(rows)
    assert {line.model: line.warning for line in table.lines} == {"vae": "", "dcgan": copied}
    assert f"⚠ dcgan {copied}." in table.remarks
    results = make_results(rows)
    markdown = to_markdown(results)
    assert "| dcgan ⚠" in markdown
    assert "| vae ⚠" not in markdown
    assert "90.0% of the samples" in markdown
    assert "⚠" in to_html(results)
    latex = to_latex(results)
    assert r"dcgan \textbf{!}" in latex
    assert "⚠" not in latex


def test_flops_of_which_some_are_not_counted_are_at_least_so_many():
    """In every format: the table, Markdown, LaTeX and the page."""
    usage = Usage(flops=4.2e12, steps=9, batches=9, uncounted={"aten.cumsum": 2})
    lacking = Measurement(value=3e9, kind="at_least", protocol="without a formula: aten.cumsum")
    some = make_row("vae", label="some", usage=usage, metrics={"flops_per_image": lacking})
    rows = [some, make_row("dcgan", label="all")]
    [table] = tables(rows)
    cells = {line.model: line.cells for line in table.lines}
    for heading, figure in (("Training FLOPs", "4.20 TFLOP"), ("FLOPs/image", "3.00 GFLOP")):
        assert str(cells["some"][heading]) == f"≥ {figure}"
        assert not cells["all"][heading].prefix
    results = make_results(rows)
    markdown = to_markdown(results)
    assert "≥ 4.20 TFLOP |" in markdown
    assert "≥ 3.00 GFLOP" in markdown and "have a formula; some have none" in markdown
    assert r"$\geq$\,3.00 GFLOP" in to_latex(results)
    [first, second] = trials(results)["trials"]
    assert first["own"]["Used"]["training FLOPs"] == "≥ 4.20 TFLOP"
    assert second["own"]["Used"]["training FLOPs"] == "4.20 TFLOP"


SAME = {"weights": "ab", "samples": "cd"}


def over_seeds(*digests):
    """Return the table of a model whose seeds have these digests, and FIDs of 3, 3, 4, ..."""
    rows = [
        make_row("vae", 3.0 + max(seed - 1, 0), seed=seed, digests=each)
        for seed, each in enumerate(digests)
    ]
    [table] = tables(rows)
    return table


def test_seeds_that_gave_the_same_bits_count_as_one():
    """There is no uncertainty over two seeds of which the model took no notice."""
    table = over_seeds(SAME, SAME)
    assert str(table.lines[0].cells["FID"]) == "3.00"
    assert table.lines[0].cells["FID"].interval == ""
    message = "vae: seed 1 gave the weights and samples of seed 0, bit for bit"
    assert any(remark.startswith(message) for remark in table.remarks)


def test_seeds_with_the_same_samples_alone_or_weights_alone_count_as_one():
    for alike in ("weights", "samples"):
        other = {"weights": "x", "samples": "y"} | {alike: SAME[alike]}
        table = over_seeds(SAME, other)
        assert table.lines[0].cells["FID"].interval == ""
        assert any(f"seed 1 gave the {alike} of seed 0" in remark for remark in table.remarks)


def test_seeds_that_differ_are_averaged_without_the_one_that_repeats():
    table = over_seeds(SAME, SAME, {"weights": "x", "samples": "y"})
    alone = over_seeds({}, {"weights": "x"}, {"weights": "y"})
    assert table.lines[0].cells["FID"].value == 3.5
    assert table.lines[0].cells["FID"].interval != alone.lines[0].cells["FID"].interval
    assert not any("bit for bit" in remark for remark in alone.remarks)
