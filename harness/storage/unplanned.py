"""Rows on disk that the plan of a benchmark does not contain, and why: reports leave them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.errors import UserError
from harness.planning.differences import CODE, differences
from harness.planning.trial import Trial
from harness.row import Row
from harness.storage.store import Store

MOST_REASONS = 10
MOST_DIFFERENCES = 3


def unplanned(store: Store, trials: Sequence[Trial]) -> list[str]:
    """Return lines that name the rows that are on disk and not planned; none if there are none."""
    reasons = Counter(_reasons(store, trials))
    if not reasons:
        return []
    number = reasons.total()
    lines = [f"not planned, so not reported: {number} {_rows(number)} in {store.trials}"]
    for reason, count in reasons.most_common(MOST_REASONS):
        lines.append(f"  {count} {reason}")
    if rest := number - sum(count for _, count in reasons.most_common(MOST_REASONS)):
        lines.append(f"  {rest} more, for other reasons")
    lines.append(f"'harness report {store.folder} --out FOLDER' reports all rows")
    return lines


def _rows(number: int) -> str:
    return "row" if number == 1 else "rows"


def _reasons(store: Store, trials: Sequence[Trial]) -> Iterator[str]:
    planned = {trial.id for trial in trials}
    if not store.trials.is_dir():
        return
    for folder in sorted(store.trials.iterdir()):
        if folder.name.startswith(".") or folder.name in planned:
            continue
        try:
            row = store.row(folder.name)
        except UserError:
            yield "that cannot be read"
            continue
        if row is not None:
            yield f"of {row.label!r}: {_reason(row, trials)}"


def _reason(row: Row, trials: Sequence[Trial]) -> str:
    """Return why a row belongs to no planned trial, by comparison with the trial in its place."""
    entry = [trial for trial in trials if trial.label == row.label]
    if not entry:
        named = next((trial.label for trial in trials if _is_but_for_label(row, trial)), None)
        return f"it is called {named!r} now" if named else "the benchmark has no such entry"
    if row.dataset not in {trial.dataset for trial in entry}:
        return f"the benchmark has no data set {row.dataset!r}"
    in_place = next((t for t in entry if (t.dataset, t.seed) == (row.dataset, row.seed)), None)
    if in_place is None:
        return f"the benchmark has no seed {row.seed}"
    return _difference(row, in_place)


def _difference(row: Row, trial: Trial) -> str:
    try:
        parts = differences(Trial.of(row).identity, trial.identity)
    except ValueError:
        return "it does not record its plan"
    listed = [str(part) for part in parts[:MOST_DIFFERENCES]]
    if more := len(parts) - len(listed):
        listed.append(f"{more} more")
    code = any(part.key.startswith(CODE) for part in parts)
    return ("its plugin was changed; " if code else "") + "; ".join(listed)


def _is_but_for_label(row: Row, trial: Trial) -> bool:
    same = ("model", "dataset", "seed", "config", "budget")
    return all(getattr(row, name) == getattr(trial, name) for name in same)
