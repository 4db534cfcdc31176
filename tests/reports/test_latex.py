import re
import shutil
import subprocess

import pytest
from support.rows import digits_rows, failed, make_results, make_row

from harness_reports.latex import escape, to_latex, write

HOSTILE = r"50% & \input{x_1} {#}~^$ <β> é"


def body(text):
    """Return the cells of the first tabular, one list a line."""
    inside = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [line.strip().removesuffix(r"\\").split(" & ") for line in inside.strip().splitlines()]


def test_the_figures_are_the_rows_figures_rounded():
    rows = digits_rows()
    printed = {line[0]: line[1] for line in body(to_latex(make_results(rows)))}
    for row in rows:
        number = float(re.search(r"\d+\.\d+", printed[row.label])[0])
        assert number == pytest.approx(row.metrics["fid"].value, abs=5e-4)


def test_booktabs_rules_the_best_in_bold_and_the_second_underlined():
    text = to_latex(make_results(digits_rows()))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 2 and r"\hline" not in text
    bold = re.findall(r"\\textbf\{(.*?)\} [&\\]", text)
    assert bold == [
        r"0.487\seedspread{0.042}{0.042}",
        r"9.06\seedspread{0.10}{0.10}",
        r"$\leq$\,3.05\seedspread{0.01}{0.01}",
        "49,200",
    ]
    underlined = re.findall(r"\\underline\{(.*?)\} [&\\]", text)
    assert [cell.split("\\seedspread")[0] for cell in underlined] == [
        "0.525",
        "8.67",
        r"$\leq$\,3.21",
        "36,500",
    ]


def test_a_spread_is_an_interval_and_a_standard_error_to_choose_from():
    text = to_latex(make_results([make_row(fid=3.0 + s / 10, seed=s) for s in range(3)]))
    assert r"3.10\seedspread{0.25}{0.06}" in text
    assert r"\providecommand{\seedspread}[2]{\,$\pm$\,#1}" in text
    assert r"$\pm$: \seedspreadname{} of the mean over training seeds." in text


def test_kinds_of_likelihood():
    text = to_latex(make_results([make_row("vae"), make_row("score-sde"), make_row("pixelcnn")]))
    cells = {line[0]: line[3] for line in body(text)}
    assert cells["vae"].startswith(r"$\leq$\,3.21")
    assert cells["score-sde"].startswith(r"$\sim$\,2.95") and cells["pixelcnn"].startswith("2.80")


def test_special_characters_are_text():
    assert escape("a_b & 5%") == r"a\_b \& 5\%"
    assert escape("\\x{y}~^$#") == r"\textbackslash{}x\{y\}\textasciitilde{}\textasciicircum{}\$\#"
    assert escape("β-VAE") == r"$\beta$-VAE"
    text = to_latex(make_results([make_row(label=HOSTILE), failed("a_b", "error", HOSTILE)]))
    assert r"\input{" not in text and r"50\% \& \textbackslash{}input" in text


def test_without_rows_it_says_so():
    assert "No trial has ended yet" in to_latex(make_results([]))


def pdflatex(rows, folder):
    """Compile a paper with the tables of ``rows``, and return what pdflatex printed."""
    write(make_results(rows, benchmark="di_gits"), folder)
    packages = r"\usepackage[T1]{fontenc}\usepackage{booktabs}"
    document = rf"\documentclass{{article}}{packages}\begin{{document}}\input{{leaderboard}}"
    (folder / "paper.tex").write_text(document + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "paper.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, timeout=120)
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, output[-2000:]
    return output


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(tmp_path):
    hostile = [make_row(label=HOSTILE, type=HOSTILE), failed("a_b", "error", HOSTILE)]
    pdflatex([*digits_rows(), *hostile], tmp_path)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_is_no_wider_than_the_page(tmp_path):
    first = digits_rows()
    further = [
        row.model_copy(update={"seed": seed, "trial": f"{row.trial}-{seed}"})
        for row in first
        if row.budget
        for seed in (1, 2)
    ]
    assert "Overfull" not in pdflatex([*first, *further, make_row("ddim")], tmp_path)


@pytest.mark.parametrize(
    ("label", "cell"),
    [
        ("[1] vae", "{[}1] vae"),
        ("[5cm]", "{[}5cm]"),
        ("*vae*", "{*}vae*"),
        ("  [x", "{[}x"),
        ("vae [x]", "vae [x]"),
        ("a--b''c,,d", "a-{}-b'{}'c,{},d"),
        ("?`x", r"?\textasciigrave{}x"),
    ],
)
def test_a_label_is_no_argument_of_the_line_before_it_and_no_ligature(label, cell):
    rows = [make_row(label="first", fid=1.0), make_row(label=label, fid=2.0)]
    text = to_latex(make_results(rows))
    assert [line[0].strip() for line in body(text)] == ["first", cell]
    cost = text.split(r"\label{tab:digits-0-cost}")[1]
    assert f"\n{cell} & " in cost
