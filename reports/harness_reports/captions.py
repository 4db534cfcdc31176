"""Text below a leaderboard: how its figures were measured, and how to read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from harness_reports.boards import Board
from harness_reports.columns import ANCHORS, Column
from harness_reports.repeats import remarks_on_repeats
from harness_reports.statistics.comparisons import FEWEST_PAIRS
from harness_reports.statistics.intervals import SEEDS, SETS
from harness_reports.text import plain

# A lower bound on nats is an upper bound on bits/dim.
KINDS = {"lower_bound": "≤", "estimate": "~", "at_least": "≥"}
MEANINGS = {"exact": "exact", "lower_bound": "≤ upper bound", "estimate": "~ estimate"}
WARNING = "⚠"
WITHIN = "†"
OVER_SEEDS = "±: 95% interval of the mean over training seeds (Student's)."
_CLAUSES = re.compile(r", | (?=against )")


def captions(frame: pd.DataFrame, columns: Mapping[str, Column]) -> dict[str, str]:
    """Return how each column was measured; from references only if there is nothing else."""
    return {
        heading: f"{_direction(heading, columns[heading])}: {how}."
        for heading, how in protocols(frame, columns).items()
    }


def protocols(frame: pd.DataFrame, columns: Iterable[str]) -> dict[str, str]:
    """Return the protocol of each column: the common one, or each with its models."""
    models = frame[frame["Role"] == "model"]
    shown = frame if models.empty else models
    found = {}
    for heading in columns:
        column = shown.get(f"{heading} protocol")
        how = "" if column is None else _protocol(shown["Model"], column.fillna(""))
        if how:
            found[heading] = how
    return found


def legend(how: Mapping[str, str], columns: Mapping[str, Column]) -> list[str]:
    """Return how columns were measured, concisely: what several share is stated once.

    A protocol is read as clauses between commas, the first of which names the features. Columns
    that share it make one sentence, and those that share all of it one place in the sentence.

    Args:
        how: protocols by heading.
        columns: by heading.
    """
    families: dict[str, dict[str, list[str]]] = {}
    for heading, protocol in how.items():
        clauses = _CLAUSES.split(protocol)
        families.setdefault(clauses[0], {})[heading] = clauses
    return [_sentence(family, columns) for family in families.values()]


def _sentence(family: Mapping[str, Sequence[str]], columns: Mapping[str, Column]) -> str:
    first = next(iter(family.values()))
    if len(family) == 1:
        heading = next(iter(family))
        return f"{_direction(heading, columns[heading])}: {_joined(first)}."
    shared = [clause for clause in first if all(clause in other for other in family.values())]
    alike: dict[str, list[str]] = {}
    for heading, clauses in family.items():
        own = _joined([clause for clause in clauses if clause not in shared])
        alike.setdefault(own, []).append(_direction(heading, columns[heading]))
    parts = [", ".join(names) + (f": {own}" if own else "") for own, names in alike.items()]
    return f"{_joined(shared)}. {'; '.join(parts)}."


def _direction(heading: str, column: Column) -> str:
    return f"{heading} ({column.better} is better)" if column.better else heading


def _joined(clauses: Sequence[str]) -> str:
    text = ", ".join(clauses)
    return text.replace(", against ", " against ")


def _protocol(names: Sequence[str] | pd.Series[str], protocols: pd.Series[str]) -> str:
    by: dict[str, list[str]] = {}
    for name, protocol in zip(names, protocols, strict=True):
        if protocol:
            by.setdefault(plain(protocol).rstrip("."), []).append(plain(name))
    if len(by) == 1:
        return next(iter(by))
    return "; ".join(f"{', '.join(names)}: {protocol}" for protocol, names in by.items())


def remarks(frame: pd.DataFrame, board: Board) -> Iterable[str]:
    """Yield what holds for several columns."""
    models = frame[frame["Role"] == "model"]
    for entry in models.to_dict("records"):
        for warning in warnings(entry):
            yield f"{WARNING} {plain(entry['Model'])} {warning}."
    bits = board.column("bits_per_dim").heading
    likelihoods = frame.get(f"{bits} kind")
    kinds = set() if likelihoods is None else set(likelihoods.dropna())
    if kinds:
        meanings = ", ".join(MEANINGS[kind] for kind in MEANINGS if kind in kinds)
        yield f"Kinds of {bits}, never ranked together: {meanings}."
    if (frame.filter(regex="FLOPs.* kind$") == "at_least").any(axis=None):
        yield "≥: FLOPs of the operators that have a formula; some have none."
    yield from remarks_on_repeats(board)
    yield from _failures(frame)
    yield from spreads(frame)
    yield from _groups(frame, board.column(board.headline).heading)
    yield from _anchors(board)


def spreads(frame: pd.DataFrame) -> Iterable[str]:
    """Yield what ± means in a table."""
    bases = set(frame.filter(regex=" basis$").stack().dropna()) - {""}
    over_one = [
        words
        for basis, words in (
            (SETS, "95% interval over its sets of samples"),
            ("measurement", "the measurement's own error, as its protocol says"),
        )
        if basis in bases
    ]
    within = f"within one training seed, which says nothing of another: {', or '.join(over_one)}"
    if SEEDS in bases:
        yield OVER_SEEDS
        if over_one:
            yield f"± {WITHIN}: {within}."
    elif bases:
        yield f"±: {within}."


def _failures(frame: pd.DataFrame) -> Iterable[str]:
    if (frame["Role"] == "failed").any():
        yield (
            "Trials without a figure stand below the models with their status; means are of the "
            "other seeds alone, and ranks count such a trial as last."
        )


def _groups(frame: pd.DataFrame, heading: str) -> Iterable[str]:
    letters = frame.get(f"{heading} group")
    if letters is None:
        return
    if letters.notna().any():
        yield (
            f"Group: models that share a letter cannot be told apart by {heading} (all pairs, "
            "paired by seed, 5% for any false difference among them by Holm's procedure)."
        )
    elif (frame["Role"] == "model").sum() > 1:
        yield f"With fewer than {FEWEST_PAIRS} seeds of two models nothing tells them apart."


def warnings(entry: Mapping[Any, Any]) -> Iterable[str]:
    """Return warnings about a model's samples; none for references."""
    if entry["Role"] != "model":
        return ()
    found = (text for name, text in entry.items() if name.endswith(" warning"))
    return dict.fromkeys(plain(text) for text in found if isinstance(text, str))


def _anchors(board: Board) -> Iterable[str]:
    """Yield the likelihoods of the row of ``null``, in one sentence, if it has them."""
    figures = [
        f"{name} {prefix}{measured.value:.2f}"
        for row in board.rows[::-1]
        if row.model == "null" and row.metrics.keys() >= ANCHORS.keys()
        for metric, name in ANCHORS.items()
        if (measured := row.metrics[metric]).value is not None
        for prefix in [f"{KINDS[measured.kind]} " if measured.kind in KINDS else ""]
    ]
    if figures:
        bits = board.column("bits_per_dim").heading
        yield f"Anchors in {bits}, of what learns next to nothing: {', '.join(figures)}."
