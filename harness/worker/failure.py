"""Status and reason of a trial that an exception ended."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

from harness.files.disk import disk_full_reason, is_disk_full
from harness.machine.exceptions import explain, is_out_of_memory
from harness.machine.memory import peak_memory
from harness.planning.plugin_identity import PluginChanged
from harness.plugins.contract_validation import ContractBroken
from harness.row import Status
from harness.training.divergence import Diverged
from harness.training.parallel.leader import ReplicaLost
from harness.training.parallel.replicas import NotParallel
from harness.training.step_costs import Unmetered


def diagnose(error: BaseException, device: torch.device, folder: Path) -> tuple[Status, str]:
    """Return the status of a trial that ``error`` ended, and why.

    A full disk is no fault of the trial, so its status is "killed": the next run continues it.

    Args:
        error: what was raised.
        device: of the trial.
        folder: where the trial writes.
    """
    if isinstance(error, Diverged):
        return "diverged", str(error)
    if isinstance(error, ReplicaLost):
        return error.status, str(error)
    if isinstance(error, NotParallel | Unmetered | ContractBroken | PluginChanged):
        return "error", str(error)
    if is_disk_full(error):
        return "killed", disk_full_reason(folder)
    if is_out_of_memory(error):
        return "out_of_memory", f"{explain(error)}; {_most_used(error, device)}"
    return "error", explain(error)


def _most_used(error: BaseException, device: torch.device) -> str:
    """Return the peak of the memory that ran out: the device's, or this process's."""
    of_device = device.type == "cuda" and ("CU" in str(error) or "HIP" in str(error))
    where = device if of_device else torch.device("cpu")
    if of_device:
        whole = torch.cuda.get_device_properties(device).total_memory
    else:
        whole = psutil.virtual_memory().total
    name = "device" if of_device else "host"
    return (
        f"at most {peak_memory(where) / 2**30:.2f} of the {name}'s {whole / 2**30:.1f} GiB in use"
    )
