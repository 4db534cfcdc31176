"""Reproduction of rows, compared bit for bit or within intervals.

A trial is resolved anew from the benchmark file of its report, with the plugins, data and recipes
that are installed now. If it is a different trial, it is not run: the outcome names every part that
differs, with both values. Otherwise it runs in a fresh results folder, on as many threads as the
row had, and ``harness.publishing.agreement`` compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from harness.errors import UserError, did_you_mean
from harness.launchers import Observer
from harness.planning.benchmark import Benchmark, parse_benchmark
from harness.planning.budget import Budget, Currency
from harness.planning.differences import CODE, Difference, differences
from harness.plugins.source_files import rule_of
from harness.publishing.agreement import Comparison, compare, why_not_bits
from harness.publishing.environments import Environment
from harness.publishing.reading import read_results
from harness.results import Results
from harness.row import Row

if TYPE_CHECKING:
    from harness.planning.trial import Trial
    from harness.plugins.registry import Registry

SOURCE = f"{CODE}source"

MOST_THREADS = 1024


@dataclass(frozen=True)
class Subject:
    """A row to be reproduced.

    Attributes:
        row: the original.
        trial: resolved from its benchmark here and now.
        changed: why that is a different trial, which is not run.
        environment_changes: other differences.
        seeds: the rows of the same model with all seeds there are.
    """

    row: Row
    trial: Trial
    changed: tuple[str, ...]
    environment_changes: tuple[Difference, ...]
    seeds: tuple[Row, ...]


@dataclass(frozen=True)
class Reproduction:
    """The outcome of reproducing a row.

    Attributes:
        row: the original.
        again: the new row; None if it was not run because of ``changed``.
        changed: why the trial is a different one now.
        environment_changes: what else is changed: code, packages, machine.
        checks: every comparison.
        lenient: why bits were not expected to agree, or "".
    """

    row: Row
    again: Row | None
    changed: tuple[str, ...]
    environment_changes: tuple[Difference, ...]
    checks: tuple[Comparison, ...] = ()
    lenient: str = ""

    @property
    def agrees(self) -> bool:
        """Whether there is a decisive comparison, and all decisive ones agree."""
        decided = [check.agrees for check in self.checks if check.decides]
        return True in decided and False not in decided


def choose(
    results: Results, trials: Sequence[str] = (), only: Sequence[str] = (), seed: int | None = None
) -> list[Row]:
    """Return some of the rows.

    Args:
        results: of a report.
        trials: ids, or unique prefixes of ids; all by default.
        only: labels; all by default.
        seed: of the rows; references, which have none, are included if named.

    Raises:
        UserError: there is no such label or id.
    """
    from harness.planning.trial import REFERENCES

    rows = list(results.rows)
    if trials:
        rows = [_one(rows, trial) for trial in dict.fromkeys(trials)]
    for label in only:
        labels = [row.label for row in results.rows]
        if label not in labels:
            raise UserError(f"--only {label}: no row has this label{did_you_mean(label, labels)}")
    rows = [row for row in rows if not only or row.label in only]
    if seed is not None:
        named = {*only, *trials}
        rows = [r for r in rows if r.seed == seed or (r.model in REFERENCES and r.label in named)]
    if not rows:
        raise UserError("no row is selected: the report has none with these labels and this seed")
    return rows


def prepare(row: Row, results: Results, registry: Registry) -> Subject:
    """Resolve the trial of a row again, and compare it with the plan that the row records.

    Raises:
        UserError: the row is incomplete, or names something that is not installed.
    """
    from harness.planning.trial import Trial

    what = f"row {row.trial} ({row.title})"
    try:
        recorded = Trial.of(row)
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{what} cannot be run again: {reason}") from None
    trial = _resolve(row, recorded, results, registry)
    changed = []
    if recorded.id != row.trial:
        changed.append(
            f"the row was changed after it ran: its id is {row.trial}, "
            f"and its recorded plan has the id {recorded.id}"
        )
    parts = differences(recorded.identity, trial.identity)
    changed += [str(part) for part in parts if not part.key.startswith(CODE)]
    if trial.unsupported and row.status != "skipped":
        changed.append(f"the model does not run on these data any more: {trial.unsupported}")
    seeds = [other for other in results.rows if _same_model(other, row)]
    code = [_with_rules(part) for part in parts if part.key.startswith(CODE)]
    return Subject(row, trial, tuple(changed), tuple(code), tuple(seeds))


def prepare_all(rows: Iterable[Row], results: Results) -> list[Subject]:
    """Prepare rows with the installed plugins, and restore what these change in the process."""
    from harness.machine.process_state import OF_A_DRIVER, unchanged
    from harness.plugins.registry import registry

    with unchanged(OF_A_DRIVER):
        return [prepare(row, results, registry()) for row in rows]


def reproduce(
    report: Path | str,
    trials: Sequence[str] = (),
    *,
    only: Sequence[str] = (),
    seed: int | None = None,
    results: Path | str | None = None,
    observer: Observer | None = None,
) -> list[Reproduction]:
    """Run rows of a report again, and compare.

    Args:
        report: a report folder, or another source of ``harness.publishing.reading.read_results``.
        trials: ids, or unique prefixes of ids; all rows by default.
        only: labels; all by default.
        seed: of the rows.
        results: folder for the new results; a new temporary one by default.
        observer: notified of the progress of trials.

    Returns:
        An outcome for each row, in the order of the report.

    Raises:
        UserError: the report is damaged or names something that is not installed; nothing was run.
    """
    recorded = read_results(report)
    rows = choose(recorded, trials, only, seed)
    subjects = prepare_all(rows, recorded)
    folder = Path(results) if results is not None else Path(mkdtemp(prefix="genharness-"))
    return run_again(subjects, recorded, folder, observer or Observer())


def run_again(
    subjects: Sequence[Subject], recorded: Results, folder: Path, observer: Observer
) -> list[Reproduction]:
    """Run the trials of subjects that have not changed, and compare all.

    Raises:
        UserError: the folder holds results, which would be taken for new ones.
    """
    from harness import api
    from harness.launchers.local import LocalLauncher
    from harness.storage.store import Store

    runnable = [subject for subject in subjects if not subject.changed]
    stores = {s.row.benchmark: Store(folder, s.row.benchmark) for s in runnable}
    for store in stores.values():
        if store.folder.exists():
            raise UserError(f"{store.folder} holds results already; choose another --results")
    for (name, device, threads), group in _alike(runnable).items():
        first = group[0]
        narrow = _narrowed(first.row, first.trial, recorded)
        planned = api.Plan(narrow, recorded.source, tuple(s.trial for s in group), stores[name])
        launcher = LocalLauncher([device], threads)
        todo = api.begin(planned, launcher)
        api.carry_out(planned, todo, launcher, tracking="off", observer=observer)
    return [_outcome(subject, recorded, stores) for subject in subjects]


def _with_rules(part: Difference) -> Difference:
    """Note where two digests of the source are not comparable."""
    if part.key != SOURCE or None in (part.then, part.now):
        return part
    then, now = rule_of(str(part.then)), rule_of(str(part.now))
    if then == now:
        return part
    note = f"digests of rule {then} and rule {now} are not comparable: the source may be the same"
    return replace(part, note=note)


def _one(rows: Iterable[Row], trial: str) -> Row:
    found = [row for row in rows if row.trial.startswith(trial)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"no row's id begins with {trial!r}")
    ids = ", ".join(row.trial for row in found[:5])
    raise UserError(f"{len(found)} rows have ids that begin with {trial!r}: {ids}")


def _resolve(row: Row, recorded: Trial, results: Results, registry: Registry) -> Trial:
    """Return the trial that corresponds to the row here and now."""
    from harness.planning.resolution import resolve

    benchmark = _narrowed(row, recorded, results)
    planned = resolve(benchmark, registry)
    return next(t for t in planned if (t.label, t.seed) == (row.label, row.seed))


def _narrowed(row: Row, recorded: Trial, results: Results) -> Benchmark:
    """Return the row's benchmark reduced to the row's trial."""
    from harness.planning.trial import REFERENCES

    reference = row.model in REFERENCES
    if not results.source:
        return _from_row(row, recorded)
    benchmark = parse_benchmark(results.source, "benchmark.toml")
    models = tuple(e for e in benchmark.models if e.title == row.label and not reference)
    if row.dataset not in benchmark.datasets or not (reference or models):
        raise UserError(
            f"row {row.trial} ({row.label} on {row.dataset}) is not in its report's benchmark.toml"
        )
    return benchmark.model_copy(
        update={
            "models": models,
            "datasets": (row.dataset,),
            "seeds": (row.seed,),
            "references": reference,
        }
    )


def _from_row(row: Row, recorded: Trial) -> Benchmark:
    """Return the benchmark that a row implies, with all its settings."""
    from harness.planning.trial import REFERENCES

    reference = row.model in REFERENCES
    entry = {
        "model": row.model,
        "label": row.label,
        "settings": row.config,
        "devices": recorded.needs.devices,
    }
    try:
        benchmark = Benchmark.model_validate(
            {
                "name": row.benchmark,
                "datasets": [row.dataset],
                "models": [entry],
                "budget": row.budget or "1 steps",
                "seeds": [row.seed],
                "references": reference,
                "precision": recorded.precision,
                "compile": recorded.compile,
                "averaging": str(Budget(recorded.averaging, Currency.IMAGES)),
                "evaluation": recorded.evaluation.model_dump(mode="json"),
            }
        )
    except (ValidationError, ValueError) as error:
        raise UserError(f"row {row.trial} implies no valid benchmark: {error}") from None
    return benchmark.model_copy(update={"models": ()}) if reference else benchmark


def _same_model(row: Row, other: Row) -> bool:
    keys = ("label", "model", "config", "dataset", "fingerprint", "budget", "planned", "protocol")
    return row.status == "ok" and all(getattr(row, key) == getattr(other, key) for key in keys)


def _alike(subjects: Iterable[Subject]) -> dict[tuple[str, str, int | None], list[Subject]]:
    """Group subjects by benchmark, device and threads: each group is one run."""
    groups: dict[tuple[str, str, int | None], list[Subject]] = {}
    for subject in subjects:
        row = subject.row
        key = (row.benchmark, _device(row), _threads(row))
        groups.setdefault(key, []).append(subject)
    return groups


def _device(row: Row) -> str:
    import torch

    cuda = row.hardware.get("device") == "cuda" and torch.cuda.is_available()
    return "cuda:0" if cuda else "cpu"


def _threads(row: Row) -> int | None:
    threads = row.hardware.get("threads")
    return threads if isinstance(threads, int) and 0 < threads <= MOST_THREADS else None


def _outcome(subject: Subject, recorded: Results, stores: Mapping[str, Any]) -> Reproduction:
    row = subject.row
    if subject.changed:
        return Reproduction(row, None, subject.changed, subject.environment_changes)
    store = stores[row.benchmark]
    again = store.row(subject.trial.id)
    if again is None:
        raise UserError(f"{store.folder}: the run of {subject.trial.title} left no row")
    around = [*subject.environment_changes, *_machine(row, again)]
    if row.trial in recorded.environments:
        then = Environment.model_validate_json(recorded.environments[row.trial])
        path = store.ended(again.trial) / "environment.json"
        now = Environment.model_validate_json(path.read_bytes()) if path.exists() else then
        around += differences(_shared(then), _shared(now))
    seeds = subject.seeds or (row,)
    checks = tuple(compare(row, again, seeds))
    return Reproduction(row, again, (), tuple(around), checks, why_not_bits(row, again))


def _machine(row: Row, again: Row) -> list[Difference]:
    if not (row.hardware and again.hardware):
        return []
    ignored = ("id", "memory")
    then, now = (
        {f"hardware.{k}": v for k, v in r.hardware.items() if k not in ignored}
        for r in (row, again)
    )
    return differences(then, now)


def _shared(environment: Environment) -> dict[str, Any]:
    return environment.model_dump(exclude={"trials", "direct", "platform"})
