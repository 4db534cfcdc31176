"""A secondary process of a trial on several devices: ``python -m harness.worker.follower``.

It trains in lockstep with the first one, which measures, saves, reports, and starts and ends the
rest.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from pathlib import Path

import torch
from torch._C._distributed_c10d import TCPStore

from harness.machine.heartbeat import Heartbeat, Progress
from harness.machine.precision import set_numerics
from harness.planning.trial import Trial
from harness.plugins.guard import PluginGuard
from harness.plugins.registry import registry
from harness.training.ledger import Ledger
from harness.training.parallel.leader import verdict_file
from harness.training.parallel.replicas import LOOPBACK, Replicas
from harness.worker.failure import diagnose
from harness.worker.inheritance import isolate_children
from harness.worker.trial_run import TrialRun

PR_SET_PDEATHSIG = 1


class _SilentHeartbeat(Heartbeat):
    """The heartbeat of a secondary process: the first process reports for all."""

    def report(self, progress: Progress) -> None:
        """Say nothing."""

    def beat(self) -> None:
        """Say nothing."""


def main() -> None:
    """Train in lockstep with the process that started this one."""
    parser = argparse.ArgumentParser(prog="python -m harness.worker.follower")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", type=torch.device)
    parser.add_argument("--rank", type=int)
    parser.add_argument("--count", type=int)
    parser.add_argument("--port", type=int)
    parser.add_argument("--threads", type=int)
    arguments = parser.parse_args()
    _die_with(os.getppid())
    # The first process handles them for all. Not SIG_IGN, which programs that a plugin executes
    # would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
        signal.siginterrupt(number, False)
    isolate_children(lock=None)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    torch.set_num_threads(arguments.threads)
    try:
        _follow(arguments)
    except BaseException as error:
        traceback.print_exc()
        verdict = diagnose(error, arguments.device, arguments.folder)
        verdict_file(arguments.folder, arguments.rank).write_text(json.dumps(verdict))
        # Interpreters may hang at exit when their connections are broken.
        sys.stderr.flush()
        os._exit(1)


def _follow(arguments: argparse.Namespace) -> None:
    folder, device = arguments.folder, arguments.device
    if device.type == "cuda":
        torch.cuda.set_device(device)
    trial = Trial.model_validate_json((folder / "trial.json").read_bytes())
    set_numerics(trial.precision)
    guard = PluginGuard(trial.plugin["distribution"])
    found = registry(guard)
    run = TrialRun(trial, folder, found, device, Ledger(device), _SilentHeartbeat(folder), guard)
    store = TCPStore(LOOPBACK, arguments.port)
    store.set(f"ready {arguments.rank}", "")
    replicas = Replicas(arguments.rank, arguments.count, store, device, trial.patience_seconds)
    run.follow(replicas)


def _die_with(parent: int) -> None:
    """Have Linux kill this process when its parent dies; elsewhere the lost connection ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    main()
