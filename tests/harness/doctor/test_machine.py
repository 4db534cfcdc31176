import os
import shutil
import sys
from collections import namedtuple
from types import SimpleNamespace

import psutil
import pytest
import torch

from harness.doctor import machine
from harness.doctor.finding import Severity

GIB = 2**30
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU, of which a test may change the free memory."""
    properties = SimpleNamespace(name="Fast 1000", uuid="12-34")
    state = SimpleNamespace(free=39 * GIB)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (state.free, 40 * GIB))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    return state


def no_gpu(monkeypatch, driver, cuda):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "driver_version", lambda: driver)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    [finding] = machine.device_findings()
    return finding


def test_no_gpu_is_no_fault(monkeypatch):
    finding = no_gpu(monkeypatch, driver=None, cuda="13.2")
    assert (finding.verdict, finding.found) == (Severity.ok, "no device: trials run on the CPU")


def test_a_torch_without_cuda_beside_a_driver(monkeypatch):
    finding = no_gpu(monkeypatch, driver="535.1", cuda=None)
    assert finding.verdict is Severity.warning
    assert "535.1" in finding.found and "CPU-only" in finding.found
    assert finding.remedy == "install a CUDA build of torch"


def test_a_driver_too_old_for_torch(monkeypatch):
    finding = no_gpu(monkeypatch, driver="450.2", cuda="13.2")
    assert finding.verdict is Severity.warning
    assert "450.2" in finding.found
    assert "CUDA 13.2" in finding.remedy and "CUDA_VISIBLE_DEVICES" in finding.remedy


def test_a_gpu_without_a_library_of_clocks(gpu):
    [finding] = machine.device_findings()
    assert (finding.subject, finding.verdict) == ("cuda:0", Severity.ok)
    assert finding.found.startswith("Fast 1000, 39.0 GiB of 40.0 GiB free, clocks unknown")
    assert "genharness[nvidia]" in finding.found


def test_a_gpu_that_others_use(gpu):
    gpu.free = 30 * GIB
    [finding] = machine.device_findings()
    assert finding.verdict is Severity.warning
    assert "30.0 GiB of 40.0 GiB" in finding.found and "--device" in finding.remedy


def test_clocks_are_those_of_the_device(gpu, monkeypatch):
    library = SimpleNamespace(
        NVML_CLOCK_SM="SM",
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"GPU-12-34": "ours"}[uuid],
        nvmlDeviceGetClockInfo=lambda device, kind: {("ours", "SM"): 900}[device, kind],
        nvmlDeviceGetMaxClockInfo=lambda device, kind: {("ours", "SM"): 1980}[device, kind],
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    [finding] = machine.device_findings()
    assert finding.found.endswith("900 of 1980 MHz now")

    def refuse():
        raise RuntimeError("Not Supported")

    library.nvmlInit = refuse
    [finding] = machine.device_findings()
    assert finding.verdict is Severity.ok and "clocks unknown (Not Supported)" in finding.found


@pytest.fixture
def cpus(monkeypatch):
    """Four usable CPUs, idle, with as many threads."""
    monkeypatch.setattr(psutil, "LINUX", True)
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: [0, 1, 2, 3], raising=False)
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 3.0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)


def test_an_idle_processor(cpus):
    finding = machine.processor_finding()
    assert finding.verdict is Severity.ok
    assert "usable CPUs: 4, torch's threads: 4, 3% busy" in finding.found


def test_more_threads_than_processors(cpus, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    finding = machine.processor_finding()
    assert finding.verdict is Severity.warning and "OMP_NUM_THREADS=4" in finding.remedy


def test_a_busy_processor(cpus, monkeypatch):
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval: 80.0)
    finding = machine.processor_finding()
    assert finding.verdict is Severity.warning
    assert "80% busy" in finding.found and "FLOPs, images or steps" in finding.remedy


@pytest.mark.parametrize(
    ("available", "limit", "verdict", "seen"),
    [
        (12, "max", Severity.ok, "12.0 GiB of 16.0 GiB"),
        (1, "max", Severity.warning, "1.0 GiB of 16.0 GiB"),
        (12, str(GIB), Severity.warning, "1.0 GiB of 1.0 GiB"),
        (12, str(99 * GIB), Severity.ok, "12.0 GiB of 16.0 GiB"),
    ],
)
def test_memory(monkeypatch, tmp_path, available, limit, verdict, seen):
    memory = SimpleNamespace(total=16 * GIB, available=available * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(machine, "CGROUP_LIMIT", tmp_path / "memory.max")
    (tmp_path / "memory.max").write_text(f"{limit}\n")
    finding = machine.memory_finding()
    assert finding.verdict is verdict and finding.found.startswith(seen)
    assert (finding.remedy == "") == (verdict is Severity.ok)


def test_results_that_are_to_be(tmp_path):
    finding = machine.results_finding(tmp_path / "not/yet")
    assert finding.verdict is Severity.ok and str(tmp_path / "not/yet") in finding.found
    assert not (tmp_path / "not").exists()


def test_results_where_a_file_is(tmp_path):
    (tmp_path / "file").write_text("")
    finding = machine.results_finding(tmp_path / "file/results")
    assert finding.verdict is Severity.problem
    assert f"{tmp_path / 'file'} is not a folder" in finding.found
    assert finding.remedy == "name another folder with --results"


def test_results_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert machine.results_finding(tmp_path).verdict is Severity.problem


def test_a_full_disk_is_worse_for_results_than_for_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(GIB, GIB, 99 << 20))
    monkeypatch.setenv("GENHARNESS_CACHE", str(tmp_path))
    results, cache = machine.results_finding(tmp_path), machine.cache_finding()
    assert results.verdict is Severity.problem and results.remedy.startswith("free 100 MiB")
    assert cache.verdict is Severity.warning and "GENHARNESS_CACHE" in cache.remedy
