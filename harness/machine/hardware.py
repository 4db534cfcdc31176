"""Fingerprint and current speed of this machine."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_REPEATS = 5
# Small enough for a slow core to repeat in a tenth of a second, large enough to fill one.
_CPU_SIZES = {"matmul": 512, "convolution": 32}
_CUDA_SIZES = {"matmul": 4096, "convolution": 256}
_VECTOR = ("sse", "ssse", "avx", "amx", "fma", "f16c", "asimd", "sve", "bf16", "i8mm")


def fingerprint(device: torch.device) -> dict[str, Any]:
    """Describe what affects speed and the bits of results on this machine.

    Returns:
        Strings, numbers and None: cpu, instructions (the set that torch's kernels use), extensions
        (all vector instructions, for libraries that choose by themselves), cores (physical),
        threads (used by torch), memory (bytes), gpu, capability, gpu_memory (bytes), driver, torch,
        cuda, cudnn, python, os; and ``id``, 12 hexadecimal digits that two machines share if their
        device-seconds can be compared.
    """
    import psutil
    import torch

    machine: dict[str, Any] = {
        "device": device.type,
        "cpu": cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "extensions": vector_extensions(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory": psutil.virtual_memory().total,
        "gpu": None,
        "capability": None,
        "gpu_memory": None,
        "driver": None,
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": None,
        "python": platform.python_version(),
        "os": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        machine["gpu"] = properties.name
        machine["capability"] = f"{properties.major}.{properties.minor}"
        machine["gpu_memory"] = properties.total_memory
        machine["driver"] = driver_version()
        machine["cudnn"] = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return machine | {"id": identity(machine)}


def identity(machine: dict[str, Any]) -> str:
    """Hash what determines speed: device, processor, threads, GPU, versions of torch and CUDA.

    Memory, operating system and driver are left out: they differ between equal machines.
    """
    names = ("device", "cpu", "cores", "threads", "gpu", "capability", "torch", "cuda")
    relevant = json.dumps([machine[name] for name in names])
    return hashlib.sha256(relevant.encode()).hexdigest()[:12]


def calibrate(
    device: torch.device, now: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Measure the speed of the device: a fixed float32 matrix product and a fixed convolution.

    Warm, synchronised, the median of five, and without TF32 whatever the trial's precision, so that
    figures from different trials compare.

    Returns:
        FLOP/s of "matmul" and "convolution".
    """
    import torch
    from torch.nn.functional import conv2d

    from harness.machine.precision import full_precision

    sizes = _CUDA_SIZES if device.type == "cuda" else _CPU_SIZES
    n, batch = sizes["matmul"], sizes["convolution"]
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=device)

    a, b = normal(n, n), normal(n, n)
    images, kernel = normal(batch, 32, 16, 16), normal(32, 32, 3, 3)
    convolution_flops = 2 * batch * 16 * 16 * kernel.numel()
    with torch.no_grad(), full_precision(device):
        return {
            "matmul": 2 * n**3 / _seconds(lambda: a @ b, device, now),
            "convolution": convolution_flops
            / _seconds(lambda: conv2d(images, kernel, padding=1), device, now),
        }


def _seconds(
    work: Callable[[], torch.Tensor], device: torch.device, now: Callable[[], float]
) -> float:
    """Return the median time of a call, after one that is not timed."""
    import torch

    def once() -> float:
        start = now()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return now() - start

    once()
    return median(once() for _ in range(_REPEATS))


def computes_alike(machine: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return the differences of two fingerprints that may change the bits of a result.

    Kernels are chosen by device, processor and instruction set, sums are split by threads, and
    versions of torch and CUDA change both. MKL uses no more threads than there are cores.
    """
    names = ["device", "cpu", "instructions", "extensions", "threads", "torch"]
    if "cuda" in (machine.get("device"), other.get("device")):
        names += ["gpu", "capability", "cuda", "cudnn"]
    different = [name for name in names if machine.get(name) != other.get(name)]
    threads = machine.get("threads")
    cores = {one["cores"] for one in (machine, other) if isinstance(one.get("cores"), int)}
    fewer = isinstance(threads, int) and len(cores) == 2 and min(cores) < threads
    return [*different, "cores"] if fewer else different


def cpu_model() -> str:
    """Return the processor's name; ``platform.processor()`` is empty on most Linux systems."""
    return _cpu_information("model name") or platform.processor() or platform.machine()


def vector_extensions() -> str:
    """Return the processor's vector instructions as Linux names them, or "" if unknown."""
    flags = _cpu_information("flags") or _cpu_information("Features")
    return " ".join(sorted(flag for flag in flags.split() if flag.startswith(_VECTOR)))


def _cpu_information(key: str) -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith(key):
                return line.split(":", 1)[1].strip()
    return ""


def driver_version() -> str | None:
    """Return the version of the NVIDIA driver, if its kernel module is loaded."""
    version = Path("/sys/module/nvidia/version")
    return version.read_text().strip() if version.exists() else None
