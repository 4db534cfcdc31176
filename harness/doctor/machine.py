"""Checks of the machine: GPUs, processor, memory, disks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from harness.doctor.finding import Finding, ok, problem, warning
from harness.features.cache import VARIABLE, cache_root
from harness.machine.hardware import cpu_model, driver_version

GIB = 2**30
# A worker of the digits benchmark takes 1.0 GiB, its driver half of that.
ENOUGH_MEMORY = 2 * GIB
# The digits benchmark leaves 34 MB.
ENOUGH_DISK = 100 * 2**20
BUSY = 20.0  # percent of all CPUs, used by other processes
MOSTLY_FREE = 0.9
CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def device_findings() -> list[Finding]:
    """Describe the CUDA devices, or say why there are none."""
    import torch

    if torch.cuda.is_available():
        return [_device_finding(index) for index in range(torch.cuda.device_count())]
    driver, cuda = driver_version(), torch.version.cuda
    if driver is None:
        return [ok("CUDA", "no device: trials run on the CPU")]
    if cuda is None:
        seen = f"there is a driver, {driver}, but this torch is a CPU-only build"
        return [warning("CUDA", seen, "install a CUDA build of torch")]
    seen = f"there is a driver, {driver}, but torch, built for CUDA {cuda}, finds no device"
    remedy = f"update the driver to one for CUDA {cuda}, and look at CUDA_VISIBLE_DEVICES"
    return [warning("CUDA", seen, remedy)]


def _device_finding(index: int) -> Finding:
    import torch

    properties = torch.cuda.get_device_properties(index)
    free, total = torch.cuda.mem_get_info(index)
    subject = f"cuda:{index}"
    seen = f"{properties.name}, {_gib(free)} of {_gib(total)} free, {_clocks(properties)}"
    if free >= MOSTLY_FREE * total:
        return ok(subject, seen)
    remedy = "other processes use it: stop them, or choose another device with --device"
    return warning(subject, seen, remedy)


def _clocks(properties: Any) -> str:
    """Return the clock of a device's multiprocessors, as reported by NVML."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]

        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{properties.uuid}")
        now = pynvml.nvmlDeviceGetClockInfo(device, pynvml.NVML_CLOCK_SM)
        most = pynvml.nvmlDeviceGetMaxClockInfo(device, pynvml.NVML_CLOCK_SM)
    except ImportError:
        return 'clocks unknown (pip install "genharness[nvidia]")'
    except Exception as error:
        # Drivers of laptops and virtual machines refuse some queries.
        return f"clocks unknown ({error})"
    return f"{now} of {most} MHz now"


def processor_finding() -> Finding:
    """Compare torch's threads with the available CPUs, and measure how busy those are."""
    import torch

    usable = len(psutil.Process().cpu_affinity() or ()) if psutil.LINUX else psutil.cpu_count() or 1
    threads = torch.get_num_threads()
    cores = psutil.cpu_count(logical=False) or "unknown"
    # Measured while this process sleeps, so it is the load of other processes.
    busy = psutil.cpu_percent(interval=0.3)
    counts = f"cores: {cores}, usable CPUs: {usable}, torch's threads: {threads}"
    seen = f"{cpu_model()}, {counts}, {busy:.0f}% busy"
    if threads > usable:
        remedy = f"more threads than CPUs contend for cores: set OMP_NUM_THREADS={usable}"
        return warning("CPU", seen, remedy)
    if busy > BUSY:
        remedy = "device-seconds buy less beside other work: wait for it to end, or give a "
        return warning("CPU", seen, remedy + "budget in FLOPs, images or steps")
    return ok("CPU", seen)


def memory_finding() -> Finding:
    """Check the free memory, under the limit of a container too."""
    memory = psutil.virtual_memory()
    limit = CGROUP_LIMIT.read_text().strip() if CGROUP_LIMIT.exists() else "max"
    total = min(memory.total, int(limit)) if limit.isdigit() else memory.total
    available = min(memory.available, total)
    seen = f"{_gib(available)} of {_gib(total)} available"
    if available >= ENOUGH_MEMORY:
        return ok("memory", seen)
    remedy = f"a trial on the CPU needs about {_gib(ENOUGH_MEMORY)}: close other programs, or "
    return warning("memory", seen, remedy + "raise the container's limit; trials may be killed")


def results_finding(results: Path) -> Finding:
    """Check whether results can be written."""
    return _disk_finding("results folder", results, problem, "name another folder with --results")


def cache_finding() -> Finding:
    """Check whether features of real images can be cached; trials recompute them otherwise."""
    remedy = f"name another folder with the environment variable {VARIABLE}"
    return _disk_finding("cache folder", cache_root(), warning, remedy)


def _disk_finding(
    subject: str, folder: Path, fault: Callable[[str, str, str], Finding], remedy: str
) -> Finding:
    folder = folder.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir():
        return fault(subject, f"{folder}: {there} is not a folder", remedy)
    if not os.access(there, os.W_OK):
        return fault(subject, f"{folder} cannot be written to", remedy)
    free = shutil.disk_usage(there).free
    seen = f"{folder}, {_gib(free)} free"
    if free < ENOUGH_DISK:
        return fault(subject, seen, f"free {ENOUGH_DISK >> 20} MiB, or {remedy}")
    return ok(subject, seen)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"
