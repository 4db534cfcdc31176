r"""The leaderboard for papers: booktabs rules, the best in bold, the second best underlined.

Every spread is written as ``\seedspread{half of the 95% interval}{standard error}``. The file
provides a definition that shows the first; a paper that defines the macro, and
``\seedspreadname`` for the captions, before it inputs the file has them as its venue wants them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from harness.results import Results
from harness_reports.captions import OVER_SEEDS, WARNING, WITHIN
from harness_reports.table import GROUP, NOTHING, Cell, Line, Table, tables_of
from harness_reports.text import plain

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "`": r"\textasciigrave{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "∞": r"$\infty$",
    "−": r"$-$",
    "–": "--",
    "…": r"\dots{}",
    WITHIN: r"\textsuperscript{\dag}",
} | {character: f"\\{character}" for character in "&%$#_{}"}
# Models are named after Greek letters, which pdflatex does not support as text.
_LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma"
_ESCAPES |= {
    letter: f"$\\{name}$"
    for letter, name in zip("αβγδεζηθικλμνξπρσ", _LETTERS.split(), strict=True)
}
_ESCAPES |= {"τ": r"$\tau$", "φ": r"$\phi$", "χ": r"$\chi$", "ψ": r"$\psi$", "ω": r"$\omega$"}
_ESCAPES |= {"²": "$^2$", WARNING: r"\textbf{!}"}
_LIGATURES = ("--", "''", ",,")
"""Characters that TeX prints as one, such as a dash."""
_PREFIXES = {"≤": r"$\leq$\,", "≥": r"$\geq$\,", "~": r"$\sim$\,"}
_PREAMBLE = r"""% \usepackage{booktabs}
% \usepackage[T1]{fontenc}
% For standard errors in place of intervals, before this file is input:
%   \newcommand{\seedspread}[2]{\,$\pm$\,#2}\newcommand{\seedspreadname}{standard error}
\providecommand{\seedspread}[2]{\,$\pm$\,#1}
\providecommand{\seedspreadname}{95\% interval (Student's)}
"""
_SHORT = {"Device time": "Time", "Training FLOPs": "FLOPs", "Images seen": "Images"}
_COLUMNS = 5
"""Maximum figures that fit between the margins of an article."""


def write(results: Results, folder: Path) -> Path:
    """Write ``leaderboard.tex`` in ``folder``, for a paper to input."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "leaderboard.tex"
    path.write_text(to_latex(results), encoding="utf-8")
    return path


def to_latex(results: Results) -> str:
    """Return the tables of each leaderboard, of quality, cost and the rest, for booktabs alone."""
    parts = []
    for i, table in enumerate(tables_of(results)):
        name = f"{results.benchmark}-{i}"
        parts += [_quality(table, name), _cost(table, name), *_further(table, name)]
    return _PREAMBLE + "\n".join(parts or ["% No trial has ended yet.\n"])


def escape(text: object) -> str:
    """Return text escaped for LaTeX."""
    shown = plain(text)
    parts = [_ESCAPES.get(character, character) for character in shown]
    for i in range(1, len(shown)):
        if shown[i - 1 : i + 1] in _LIGATURES:
            parts[i] = "{}" + parts[i]
    return "".join(parts)


def _opening(cell: str) -> str:
    r"""Return the first cell of a line, protected from a preceding ``\\`` or rule.

    Text after ``\\`` is its argument if it begins with ``[``, and ``*`` is part of it.
    """
    return f"{{{cell[0]}}}{cell[1:]}" if cell.startswith(("[", "*")) else cell


def _quality(table: Table, name: str) -> str:
    headings = table.group("quality")
    frame = _frame(table, table.lines, headings)
    if table.grouped:
        frame.insert(2, GROUP, [table.letters(line) or escape(NOTHING) for line in table.lines])
    return _table(frame, table.lines, _caption(table, headings), name)


def _cost(table: Table, name: str) -> str:
    headings = [*table.group("model"), *table.group("used")]
    lines = [line for line in table.lines if line.trained]
    caption = f"What the models of Table~{_reference(name)} cost. {_measured(table, headings)}"
    frame = _frame(table, lines, headings).rename(columns=_SHORT)
    return _table(frame, lines, caption, f"{name}-cost")


def _further(table: Table, name: str) -> Iterable[str]:
    headings = [*table.group("samples"), *table.group("copies"), *table.group("further")]
    for start in range(0, len(headings), _COLUMNS):
        chosen = headings[start : start + _COLUMNS]
        caption = f"Further figures of Table~{_reference(name)}. {_measured(table, chosen)}"
        frame = _frame(table, table.lines, chosen)
        yield _table(frame, table.lines, caption, f"{name}-further-{start // _COLUMNS}")


def _reference(name: str) -> str:
    return rf"\ref{{tab:{_label(name)}}}"


def _frame(table: Table, lines: Sequence[Line], headings: Sequence[str]) -> pd.DataFrame:
    body = [
        [
            _opening(escape(f"{line.model} {WARNING * bool(line.warning)}")),
            *(_figure(table.narrow(line, heading)) for heading in headings),
        ]
        for line in lines
    ]
    return pd.DataFrame(body, columns=["Model", *map(escape, headings)])


def _table(frame: pd.DataFrame, lines: Sequence[Line], caption: str, name: str) -> str:
    places = pd.DataFrame("", index=frame.index, columns=frame.columns)
    for index, line in enumerate(lines):
        for heading, cell in line.cells.items():
            if (cell.best or cell.second) and escape(heading) in places:
                command = "textbf" if cell.best else "underline"
                places.loc[index, escape(heading)] = f"{command}:--rwrap;"
    text = {"Model", GROUP}
    table = (
        frame.style.hide(axis="index")
        .apply(lambda _: places, axis=None)
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
    within = escape(WITHIN) if cell.within else ""
    spread = [escape(text) for text in (cell.error, cell.standard_error)]
    error = rf"\seedspread{{{spread[0]}}}{{{spread[1]}}}{within}" if cell.error else ""
    mark = rf"\textsuperscript{{{cell.mark}}}" if cell.mark else ""
    return f"{_PREFIXES.get(cell.prefix, '')}{escape(cell.text)}{error}{mark}"


def _caption(table: Table, headings: Sequence[str]) -> str:
    apart = f"A table of its own: {table.apart}." if table.apart else ""
    notes = [f"[{mark}] {note}." for mark, note in table.notes.items()]
    failures = [
        f"{line.model} ({line.status}): {line.brief}." for line in table.lines if line.brief
    ]
    sentences = [f"{table.title}.", apart, *table.remarks, *notes, *failures]
    text = " ".join(_sentence(sentence) for sentence in sentences if sentence)
    return f"{text} {_measured(table, headings)}"


def _sentence(text: str) -> str:
    if text == OVER_SEEDS:
        return r"$\pm$: \seedspreadname{} of the mean over training seeds."
    return escape(text)


def _measured(table: Table, headings: Iterable[str]) -> str:
    return " ".join(escape(text) for text in table.legend(headings))
