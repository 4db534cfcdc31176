r"""The leaderboard for papers: a LaTeX table with booktabs rules, the best figures in bold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.results import Results
from harness_reports.table import NOTHING, WARNING, Cell, Line, Table, plain, tables

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "–": "--",
    "…": r"\dots{}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
# Models are called after Greek letters, which pdflatex does not know as text.
_LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma"
_ESCAPES |= {
    letter: f"$\\{name}$"
    for letter, name in zip("αβγδεζηθικλμνξπρσ", _LETTERS.split(), strict=True)
}
_ESCAPES |= {"τ": r"$\tau$", "φ": r"$\phi$", "χ": r"$\chi$", "ψ": r"$\psi$", "ω": r"$\omega$"}
_ESCAPES |= {"²": "$^2$", WARNING: r"\textbf{!}"}
_PREFIXES = {"≤": r"$\leq$\,", "~": r"$\sim$\,"}
_PREAMBLE = "% \\usepackage{booktabs}\n% \\usepackage[T1]{fontenc}\n"


def write(results: Results, folder: Path) -> Path:
    """Write ``leaderboard.tex`` in ``folder``, for a paper to input."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "leaderboard.tex"
    path.write_text(to_latex(results), encoding="utf-8")
    return path


def to_latex(results: Results) -> str:
    """Return two tables a leaderboard, of quality and of cost, that need booktabs and no more."""
    parts = []
    for i, table in enumerate(tables(results.rows)):
        name = f"{results.benchmark}-{i}"
        parts.append(_quality(table, name))
        parts.append(_cost(table, f"{name}-cost"))
    return _PREAMBLE + "\n".join(parts or ["% No trial has ended yet.\n"])


def escape(text: object) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(character, character) for character in plain(text))


def _quality(table: Table, name: str) -> str:
    headings = [*table.group("quality"), *table.group("further")]
    types = [escape(line.type or NOTHING) for line in table.lines]
    frame = _frame(table, table.lines, headings)
    frame.insert(1, "Type", types)
    frame["Status"] = [escape(line.status) for line in table.lines]
    return _table(frame, table.lines, _caption(table, headings), name)


def _cost(table: Table, name: str) -> str:
    headings = [*table.group("model"), *table.group("used")]
    lines = [line for line in table.lines if line.trained]
    title = f"What the models of Table~\\ref{{tab:{_label(name.removesuffix('-cost'))}}} cost. "
    return _table(_frame(table, lines, headings), lines, title + _measured(table, headings), name)


def _frame(table: Table, lines: Sequence[Line], headings: Sequence[str]) -> pd.DataFrame:
    body = [
        [
            escape(f"{line.model} {WARNING * bool(line.warning)}"),
            *(_figure(table.narrow(line, heading)) for heading in headings),
        ]
        for line in lines
    ]
    return pd.DataFrame(body, columns=["Model", *map(escape, headings)])


def _table(frame: pd.DataFrame, lines: Sequence[Line], caption: str, name: str) -> str:
    best = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for index, line in enumerate(lines):
        for heading, cell in line.cells.items():
            if cell.best and escape(heading) in best:
                best.loc[index, escape(heading)] = "textbf:--rwrap;"
    text = {"Model", "Type", "Status"}
    table = (
        frame.style.hide(axis="index")
        .apply(lambda _: best, axis=None)
        .to_latex(
            hrules=True,
            position="t",
            position_float="centering",
            column_format="".join("l" if name in text else "r" for name in frame.columns),
            caption=caption,
            label=f"tab:{_label(name)}",
        )
    )
    return table.replace("\\centering", "\\centering\\footnotesize\\setlength{\\tabcolsep}{3pt}", 1)


def _label(name: str) -> str:
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c == "-"))


def _figure(cell: Cell) -> str:
    error = rf"\,$\pm$\,{escape(cell.error)}" if cell.error else ""
    mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
    return f"{_PREFIXES.get(cell.prefix, '')}{escape(cell.text)}{error}{mark}"


def _caption(table: Table, headings: Sequence[str]) -> str:
    apart = f"A table of its own: {table.apart}." if table.apart else ""
    notes = [f"[{mark}] {note}." for mark, note in table.notes.items()]
    failures = [
        f"{line.model} ({line.status}): {line.brief}." for line in table.lines if line.brief
    ]
    sentences = [f"{table.title}.", apart, *table.remarks, *notes, *failures]
    text = " ".join(escape(sentence) for sentence in sentences if sentence)
    return f"{text} {_measured(table, headings)}"


def _measured(table: Table, headings: Sequence[str]) -> str:
    return " ".join(escape(text) for name, text in table.captions.items() if name in headings)
