r"""The leaderboard for papers: a LaTeX table with booktabs rules, the best figures in bold."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from harness.results import Results
from harness_reports.table import NOTHING, Cell, Line, Table, plain, tables

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
_PREFIXES = {"≤": r"$\leq$\,", "~": r"$\sim$\,"}
_PREAMBLE = "% \\usepackage{booktabs}\n% \\usepackage[T1]{fontenc}\n"


def write(results: Results, folder: Path) -> Path:
    """Write ``leaderboard.tex`` in ``folder``, for a paper to input."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "leaderboard.tex"
    path.write_text(to_latex(results), encoding="utf-8")
    return path


def to_latex(results: Results) -> str:
    """Return one ``table`` a leaderboard, and nothing that another package would be needed for."""
    printed = tables(results.rows)
    parts = [_table(table, f"{results.benchmark}-{i}") for i, table in enumerate(printed)]
    return _PREAMBLE + "\n".join(parts or ["% No trial has ended yet.\n"])


def escape(text: object) -> str:
    """Return text that LaTeX prints as it is."""
    return "".join(_ESCAPES.get(character, character) for character in plain(text))


def _table(table: Table, name: str) -> str:
    headings = [heading for group in ("quality", "model") for heading in table.group(group)]
    frame = pd.DataFrame(
        [_cells(line, headings) for line in table.lines],
        columns=["Model", "Type", *map(escape, headings), "Status"],
    )
    best = pd.DataFrame(
        [_bold(line, headings) for line in table.lines], columns=frame.columns, index=frame.index
    )
    styler = frame.style.hide(axis="index").apply(lambda _: best, axis=None)
    label = "".join(character for character in name if character.isalnum() or character in "-:")
    return styler.to_latex(
        hrules=True,
        position="t",
        position_float="centering",
        column_format="ll" + "r" * len(headings) + "l",
        caption=_caption(table),
        label=f"tab:{label}",
    )


def _cells(line: Line, headings: list[str]) -> list[str]:
    figures = [_figure(line.cells[heading]) for heading in headings]
    return [escape(line.model), escape(line.type or NOTHING), *figures, escape(line.status)]


def _bold(line: Line, headings: list[str]) -> list[str]:
    marks = ["textbf:--rwrap;" if line.cells[heading].best else "" for heading in headings]
    return ["", "", *marks, ""]


def _figure(cell: Cell) -> str:
    error = rf"\,$\pm$\,{escape(cell.error)}" if cell.error else ""
    mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
    return f"{_PREFIXES.get(cell.prefix, '')}{escape(cell.text)}{error}{mark}"


def _caption(table: Table) -> str:
    apart = f"A table of its own: {table.apart}." if table.apart else ""
    notes = [f"[{mark}] {note}." for mark, note in table.notes.items()]
    failures = [
        f"{line.model} ({line.status}): {line.reason}." for line in table.lines if line.reason
    ]
    sentences = [f"{table.title}.", apart, *table.captions, *notes, *failures]
    return " ".join(escape(sentence) for sentence in sentences if sentence)
