"""Resumption of a trial: its checkpoint, if it is intact and may be resumed on this machine."""

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
"""The parts of a fingerprint that affect speed or bits."""


@dataclass(frozen=True)
class Resumption:
    """The state of an unfinished trial.

    Attributes:
        state: of its checkpoint, or None to start again from the beginning.
        refusal: why an existing checkpoint is not used, or "".
        machines: on which it was trained, in order; this one is the last.
    """

    state: dict[str, Any] | None
    refusal: str
    machines: list[Machine]

    def refused(self, reason: str) -> Resumption:
        """Return a resumption from the beginning, for ``reason`` unless there was one."""
        return Resumption(None, self.refusal or reason, self.machines[-1:])

    def provenance(self) -> dict[str, Any]:
        """Return the entry of the row's provenance; also logged as a warning."""
        if self.refusal:
            message = f"{self.refusal}; the trial was restarted"
            log.warning("%s", message)
            return {"checkpoint": message}
        if len(self.machines) == 1:
            return {}
        changes = [difference(*pair) for pair in pairwise(self.machines)]
        log.warning("the trial was started on another machine: %s", changes[-1])
        ids = [machine["id"] for machine in self.machines]
        return {"machines": ids, "machine_changes": changes}


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a trial's checkpoint; a full disk is a warning, and the old one stays."""
    try:
        save_checkpoint(folder, state)
    except OSError as error:
        if not is_disk_full(error):
            raise
        # The trial can continue without it, and there may be space again for the next one.
        log.warning("no checkpoint was saved, %s", disk_full_reason(folder))


def find(folder: Path, trial: Trial, device: torch.device, machine: Machine) -> Resumption:
    """Return from where a trial resumes.

    Device-seconds of two machines cannot be added: a second buys more on one of them. So under such
    a budget a trial from another machine, or with another number of threads, is restarted.

    Args:
        folder: of the trial.
        trial: whose checkpoint may be there.
        device: of its tensors.
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
    # Older checkpoints do not have them.
    machines: list[Machine] = state.get("machines") or [machine]
    before = machines[-1]
    change = difference(before, machine)
    metered = Budget.parse(trial.budget).currency is Currency.SECONDS
    if metered and before["id"] != machine["id"]:
        refusal = (
            f"{folder} holds a checkpoint of another machine ({change}), and device-seconds of two "
            "machines cannot be added"
        )
        return Resumption(None, refusal, [machine])
    return Resumption(state, "", [*machines, machine] if change else machines)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Describe how two machines differ in what affects speed or bits: "threads 1, then 2"."""
    changed = [name for name in _TOLD if before.get(name) != now.get(name)]
    return "; ".join(f"{name} {before.get(name)}, then {now.get(name)}" for name in changed)
