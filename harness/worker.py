"""One trial in a process of its own: ``python -m harness.worker FOLDER --device DEVICE``.

The folder holds ``trial.json``; the worker leaves ``row.json`` there. A worker that was asked to
stop leaves a checkpoint and no row, and exits with ``STOPPED``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from harness.progress import Heartbeat, Interrupted, Progress
from harness.row import Row

STOPPED = 75
"""Exit code of a worker that was asked to stop (EX_TEMPFAIL: try again later)."""


class _StopSignal:
    """Tells whether the process was asked to stop, or has lost the driver that started it."""

    def __init__(self) -> None:
        self.received = False
        self.driver = os.getppid()
        signal.signal(signal.SIGTERM, self._receive)
        # Ctrl-C reaches the driver, which decides and tells the workers.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def __call__(self) -> bool:
        return self.received or os.getppid() != self.driver

    def _receive(self, *_: Any) -> None:
        self.received = True


def main() -> None:
    """Run the trial that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m harness.worker")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="threads of torch on a CPU")
    parser.add_argument("--origin", type=float, help="time.monotonic() of the driver at the start")
    arguments = parser.parse_args()
    stop = _StopSignal()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    origin = arguments.origin if arguments.origin is not None else time.monotonic()
    heartbeat = Heartbeat(arguments.folder, stop)
    heartbeat.tell(Progress("starting"))
    try:
        row = run(arguments.folder, arguments.device, arguments.threads, origin, heartbeat)
    except Interrupted:
        sys.exit(STOPPED)
    from harness.store import write_atomically

    write_atomically(arguments.folder / "row.json", row.model_dump_json(indent=2).encode())


def run(folder: Path, device: str, threads: int, origin: float, heartbeat: Heartbeat) -> Row:
    """Carry out the trial in ``folder``, and return its row whatever happens.

    Raises:
        Interrupted: it was asked to stop; its checkpoint is in the folder.
    """
    import torch

    from harness.ledger import Ledger
    from harness.registry import registry
    from harness.training import Diverged
    from harness.trial import Trial
    from harness.trial_run import TrialRun

    if threads:
        torch.set_num_threads(threads)
    target = torch.device(device)
    ledger = Ledger(target, origin)
    with ledger.phase("setup"):
        trial = Trial.model_validate_json((folder / "trial.json").read_bytes())
        found = registry()
        trial_run = TrialRun(trial, folder, found, target, ledger, heartbeat)
        found.hooks.harness_trial_started(trial=trial.model_dump(mode="json"))
    try:
        return trial_run.run()
    except Interrupted:
        raise
    except Diverged as error:
        status, reason = "diverged", str(error)
    except (torch.OutOfMemoryError, MemoryError) as error:
        status, reason = "out_of_memory", str(error).splitlines()[0] if str(error) else "host"
    except Exception as error:
        traceback.print_exc()
        status, reason = "error", _explain(error)
    gc.collect()
    return trial_run.row(status, reason)


def _explain(error: Exception) -> str:
    """Return one line: what was raised, and the last line of code that it came from."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}".replace("\n", " ") + where


if __name__ == "__main__":
    main()
