"""Where a trial goes on: its checkpoint, if it is whole and this machine may go on with it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from harness.files.disk import disk_full_reason, is_disk_full
from harness.planning.budget import Budget, Currency
from harness.planning.trial import Trial
from harness.storage.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint

log = logging.getLogger(__name__)

Machine = dict[str, Any]
"""A fingerprint, see ``harness.machine.hardware``."""

_TOLD = (
    *("device", "cpu", "cores", "threads", "gpu", "capability", "instructions", "extensions"),
    *("torch", "cuda", "cudnn"),
)
"""What of a machine decides speed or bits."""


@dataclass(frozen=True)
class Resumption:
    """What was found of an unfinished trial.

    Attributes:
        state: of its checkpoint, or None to start anew.
        refusal: why a checkpoint that is there is not used, or "".
        machines: that it was trained on, one after another; this one is the last.
    """

    state: dict[str, Any] | None
    refusal: str
    machines: list[Machine]

    def refused(self, reason: str) -> Resumption:
        """Return that the trial starts anew, for a ``reason`` unless there was one."""
        return Resumption(None, self.refusal or reason, self.machines[-1:])

    def provenance(self) -> dict[str, Any]:
        """Return what the row says of it; it is a warning of the log, too."""
        if self.refusal:
            told = f"{self.refusal}; the trial started anew"
            log.warning("%s", told)
            return {"checkpoint": told}
        if len(self.machines) == 1:
            return {}
        changes = [difference(*pair) for pair in pairwise(self.machines)]
        log.warning("the trial was begun on another machine: %s", changes[-1])
        ids = [machine["id"] for machine in self.machines]
        return {"machines": ids, "machine_changes": changes}


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a trial's checkpoint; a full disk is a warning, and the old one stays."""
    try:
        save_checkpoint(folder, state)
    except OSError as error:
        if not is_disk_full(error):
            raise
        # The trial can do without, and there may be space again when the next one is due.
        log.warning("no checkpoint was saved, %s", disk_full_reason(folder))


def find(folder: Path, trial: Trial, device: torch.device, machine: Machine) -> Resumption:
    """Return where a trial goes on.

    Device-seconds of two machines do not add up: a second buys more on one of them. So under a
    budget in these a trial that comes from another machine, or had other threads, starts anew.

    Args:
        folder: of the trial.
        trial: whose checkpoint may be there.
        device: where its tensors go.
        machine: fingerprint of this one.

    Raises:
        ValueError: the checkpoint is another trial's.
    """
    try:
        state = load_checkpoint(folder, device)
    except DamagedCheckpoint as error:
        return Resumption(None, str(error), [machine])
    if state is None:
        return Resumption(None, "", [machine])
    if state["trial"] != trial.id:
        raise ValueError(f"{folder} holds a checkpoint of trial {state['trial']}")
    # Checkpoints from before do not have them.
    machines: list[Machine] = state.get("machines") or [machine]
    before = machines[-1]
    change = difference(before, machine)
    metered = Budget.parse(trial.budget).currency is Currency.SECONDS
    if metered and before["id"] != machine["id"]:
        refusal = (
            f"{folder} holds a checkpoint of another machine ({change}), and device-seconds of two "
            "do not add up"
        )
        return Resumption(None, refusal, [machine])
    return Resumption(state, "", [*machines, machine] if change else machines)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say how two machines differ in what decides speed or bits: "threads 1, then 2"."""
    changed = [name for name in _TOLD if before.get(name) != now.get(name)]
    return "; ".join(f"{name} {before.get(name)}, then {now.get(name)}" for name in changed)
