"""The commands as functions: run, plan, status, report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from harness.errors import Unwritable, error_prefix
from harness.launchers import Launcher, Observer
from harness.machine.standard_streams import ensure_open
from harness.planning.amended import amended
from harness.planning.benchmark import (
    Benchmark,
    Settings,
    read_benchmark,
    with_models,
    with_settings,
)
from harness.plugins.registry import Registry, registry
from harness.publishing import report_folder
from harness.publishing.formats import WrittenReport
from harness.results import Results
from harness.row import Row
from harness.storage.store import FAILED, RESUMABLE, Store

if TYPE_CHECKING:
    import pandas as pd

    from harness.machine.heartbeat import Progress
    from harness.planning.trial import Trial
    from harness.tracking import BackgroundSender

log = logging.getLogger(__name__)

RESULTS = Path("results")


@dataclass(frozen=True)
class Plan:
    """A benchmark, resolved into trials, and where their results are."""

    benchmark: Benchmark
    source: str
    trials: tuple[Trial, ...]
    store: Store

    def results(self) -> Results:
        """Collect the results of the trials so far."""
        return self.store.results(self.benchmark, self.source, self.trials)

    def unplanned(self) -> list[str]:
        """Name the rows on disk that no planned trial has, and why."""
        from harness.storage.unplanned import unplanned

        return unplanned(self.store, self.trials)

    def open_trials(self, retry_failed: bool = False) -> list[Trial]:
        """Return the trials that a run would work on."""
        again = RESUMABLE + (FAILED if retry_failed else ())
        rows = {trial.id: self.store.row(trial.id) for trial in self.trials}
        return [t for t in self.trials if (row := rows[t.id]) is None or row.status in again]


def plan(
    benchmark: str,
    results: Path | str = RESULTS,
    *,
    also: Sequence[str] = (),
    settings: Settings = MappingProxyType({}),
) -> Plan:
    """Resolve a benchmark (a name, or a file ending in .toml) without running anything.

    Args:
        benchmark: a name, or a file ending in .toml.
        results: folder.
        also: models to add to those of the benchmark.
        settings: hyper-parameters to replace, by label or model: {"ddpm": {"channels": 32}}.

    Raises:
        UserError: saying what is wrong with it, and where.
    """
    from harness.machine.process_state import OF_A_DRIVER, unchanged
    from harness.planning.resolution import resolve

    parsed, source = read_benchmark(benchmark)
    parsed = with_settings(with_models(parsed, also), settings)
    # Plugins are imported here, and must not change what workers inherit.
    with error_prefix(benchmark), unchanged(OF_A_DRIVER):
        trials = tuple(resolve(parsed, registry()))
    if also or settings:
        source = amended(source, parsed) + _changes(also, settings)
    return Plan(parsed, source, trials, Store(Path(results), parsed.name))


def _changes(also: Sequence[str], settings: Settings) -> str:
    """Return comments, to stand below a benchmark's text, that list its amendments."""
    lines = [f"# --also {name}" for name in also]
    for name, values in settings.items():
        lines += [f"# --set {name}.{key}={value}" for key, value in values.items()]
    return "".join(f"{line}\n" for line in lines)


def run(
    benchmark: str,
    results: Path | str = RESULTS,
    *,
    also: Sequence[str] = (),
    settings: Settings = MappingProxyType({}),
    tracking: Literal["auto", "off"] = "auto",
    retry_failed: bool = False,
    devices: Sequence[str] = (),
    workers: int | None = None,
    threads: int | None = None,
    observer: Observer | None = None,
) -> pd.DataFrame:
    """Run what is not finished of a benchmark, write its report, and return its rows as a frame.

    Args:
        benchmark: a name, or a file ending in .toml.
        results: folder; a trial that finished there is not run again.
        also: models to add to those of the benchmark.
        settings: hyper-parameters to replace, by label or model: {"ddpm": {"channels": 32}}.
        tracking: "off" disables MLflow.
        retry_failed: whether failed trials are run again.
        devices: "cpu", "cuda:0" and so on; all of the machine's by default.
        workers: parallel trials; by default one per CUDA device, or one on a CPU.
        threads: of a worker on a CPU; by default the cores, shared by the workers.
        observer: notified of the progress of trials.

    Raises:
        UserError: something is wrong with the benchmark; nothing was run.
    """
    from harness.frame import rows_frame
    from harness.launchers.local import LocalLauncher, choose_devices

    planned = plan(benchmark, results, also=also, settings=settings)
    launcher = LocalLauncher(choose_devices(devices, workers), threads)
    todo = begin(planned, launcher, retry_failed=retry_failed)
    sender = carry_out(planned, todo, launcher, tracking=tracking, observer=observer or Observer())
    with sender or nullcontext():
        written = conclude(planned, todo, sender)
    for name, why in written.failed.items():
        log.warning("report %r failed: %s", name, why)
    return rows_frame(planned.results().rows)


def begin(planned: Plan, launcher: Launcher, *, retry_failed: bool = False) -> list[Trial]:
    """Return the trials of a plan that are to be run, once their folders are there.

    Raises:
        UserError: one of them can never run here, or nothing can be written; none was run.
    """
    ensure_open()
    todo = planned.open_trials(retry_failed)
    launcher.check(todo)
    if todo:
        planned.store.prepare()
    planned.store.write_source(planned.source)
    return todo


def carry_out(
    planned: Plan,
    todo: Sequence[Trial],
    launcher: Launcher,
    *,
    tracking: Literal["auto", "off"],
    observer: Observer,
) -> BackgroundSender | None:
    """Run trials that ``begin`` returned; each ends with a row in the store and in MLflow.

    Other runs may do so at the same time: each trial is run by one of them, and all return when
    every trial of theirs has ended.

    Returns:
        The sender of the rows, to be closed; None if there are no rows or no store to send them to.
    """
    from harness.launchers.agenda import Agenda
    from harness.tracking import BackgroundSender, open_tracker

    if not todo:
        return None
    store = planned.store
    tracker = open_tracker(tracking, store.folder.parent)
    sender = BackgroundSender(tracker) if tracker else None
    try:
        launcher.run(Agenda(todo, store, _EventForwarder(observer, store, sender, registry())))
    except BaseException:
        if sender is not None:
            sender.close()
        raise
    return sender


def publish(planned: Plan, sender: BackgroundSender | None) -> WrittenReport:
    """Write every report of a plan, also to MLflow if there is a sender."""
    with planned.store.reporting():
        written = report_folder.write(planned.results(), planned.store.report, registry())
    if sender is not None:
        sender.send_report(planned.benchmark.name, planned.store.report)
    return written


def conclude(
    planned: Plan, todo: Sequence[Trial], sender: BackgroundSender | None
) -> WrittenReport:
    """Write the reports after a run; only warn where it had nothing to do and they cannot be."""
    if todo:
        return publish(planned, sender)
    try:
        return publish(planned, None)
    except Unwritable as error:
        log.warning("the report stays as it is: %s", error)
        return WrittenReport({})


@dataclass
class _EventForwarder(Observer):
    """Forwards events to the caller's observer, to MLflow and to plugins."""

    observer: Observer
    store: Store
    sender: BackgroundSender | None
    registry: Registry

    def started(self, trial: Trial) -> None:
        self.observer.started(trial)

    def progressed(self, trial: Trial, progress: Progress) -> None:
        self.observer.progressed(trial, progress)

    def held(self, trial: Trial) -> None:
        self.observer.held(trial)

    def waits(self, trial: Trial, holder: str) -> None:
        self.observer.waits(trial, holder)

    def ended_elsewhere(self, trial: Trial, row: Row) -> None:
        self.observer.ended_elsewhere(trial, row)

    def finished(self, trial: Trial, row: Row) -> None:
        from harness.machine.process_state import OF_A_DRIVER, unchanged

        self.observer.finished(trial, row)
        with unchanged(OF_A_DRIVER):
            self.registry.hooks.harness_trial_finished(row=row.model_dump(mode="json"))
        if self.sender is not None:
            self.sender.send(row, self.store.ended(trial.id))
