"""One trial in a process of its own: ``python -m harness.worker FOLDER --device DEVICE``.

The folder holds ``trial.json``; the worker leaves ``row.json`` there. A worker that was asked to
stop leaves a checkpoint and no row, and exits with ``STOPPED``; one that could not write its row
because the disk is full exits with ``FULL``.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import signal
import time
import traceback
from pathlib import Path
from typing import Any

from harness.machine.exit import FULL, STOPPED, exit_now
from harness.machine.heartbeat import Heartbeat, Interrupted, Progress
from harness.machine.printing import print_in_utf8
from harness.machine.standard_streams import ensure_open
from harness.row import Row
from harness.worker.inheritance import isolate_children


class _StopSignal:
    """Whether the process was asked to stop, or has lost the driver that started it."""

    def __init__(self) -> None:
        self.received = False
        self.worker = os.getpid()
        self.driver = os.getppid()
        signal.signal(signal.SIGTERM, self._receive)
        # Ctrl-C reaches the driver, which decides and signals the workers. Not SIG_IGN, which
        # programs that a plugin executes would inherit.
        signal.signal(signal.SIGINT, self._ignore)
        signal.siginterrupt(signal.SIGINT, False)

    def __call__(self) -> bool:
        self.exit_if_forked()
        return self.received or os.getppid() != self.driver

    def exit_if_forked(self) -> None:
        """End a process that a plugin forked and that returned into the trial's code."""
        if os.getpid() != self.worker:
            os._exit(0)

    def _receive(self, *_: Any) -> None:
        self.received = True

    def _ignore(self, *_: Any) -> None:
        pass


def main() -> None:
    """Run the trial that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m harness.worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch on a CPU")
    parser.add_argument("--origin", type=float, help="time.monotonic() of the driver at the start")
    parser.add_argument("--lock", type=int, help="descriptor of the trial's lock")
    arguments = parser.parse_args()
    ensure_open()
    isolate_children(arguments.lock)
    # A crash in native code writes the Python stack trace to the log.
    faulthandler.enable()
    stop = _StopSignal()
    print_in_utf8()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    origin = arguments.origin if arguments.origin is not None else time.monotonic()
    # Absolute, for a plugin may change the working directory.
    folder = arguments.folder.absolute()
    heartbeat = Heartbeat(folder, stop)
    heartbeat.report(Progress("starting"))
    try:
        row = run(folder, arguments.device, arguments.threads, origin, heartbeat)
    except Interrupted:
        stop.exit_if_forked()
        heartbeat.report_stopped()
        exit_now(STOPPED)
    stop.exit_if_forked()
    exit_now(_write(row, folder))


def run(folder: Path, device: str, threads: int, origin: float, heartbeat: Heartbeat) -> Row:
    """Run the trial in ``folder``, and return its row whatever happens.

    Raises:
        Interrupted: it was asked to stop; its checkpoint is in the folder.
    """
    import torch

    from harness.machine.memory import peak_memory
    from harness.machine.precision import set_numerics
    from harness.planning.trial import Trial
    from harness.plugins.guard import PluginGuard
    from harness.plugins.registry import registry
    from harness.training.ledger import Ledger
    from harness.worker.failure import diagnose
    from harness.worker.trial_run import TrialRun

    if threads:
        torch.set_num_threads(threads)
    target = torch.device(device)
    ledger = Ledger(target, origin, paused_between=heartbeat.paused)
    with ledger.phase("setup"):
        trial = Trial.model_validate_json((folder / "trial.json").read_bytes())
        heartbeat.watch(trial.patience_seconds)
        set_numerics(trial.precision)
        guard = PluginGuard(trial.plugin["distribution"])
        found = registry(guard)
        trial_run = TrialRun(trial, folder, found, target, ledger, heartbeat, guard)
        found.hooks.harness_trial_started(trial=trial.model_dump(mode="json"))
    try:
        return trial_run.run()
    except Interrupted:
        raise
    # A plugin that calls sys.exit(), or raises KeyboardInterrupt, ends its trial with an error.
    except BaseException as error:
        traceback.print_exc()
        status, reason = diagnose(trial_run.plugins.cause(error), target, folder)
    ledger.peak_memory = max(ledger.peak_memory, peak_memory(target))
    return trial_run.row(status, reason)


def _write(row: Row, folder: Path) -> int:
    """Write the row for the driver; return the exit code."""
    from harness.files.disk import is_disk_full, write_atomically

    try:
        write_atomically(folder / "row.json", row.model_dump_json(indent=2).encode())
    except OSError as error:
        if not is_disk_full(error):
            raise
        return FULL
    return 0


if __name__ == "__main__":
    main()
