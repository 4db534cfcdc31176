import json
import subprocess
import sys
from itertools import accumulate, chain, cycle

import pytest
import torch

from harness.machine.hardware import calibrate, fingerprint, identity

CPU = torch.device("cpu")


def test_fingerprint_says_what_the_machine_is():
    machine = fingerprint(CPU)
    assert json.loads(json.dumps(machine)) == machine
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["threads"] == torch.get_num_threads()
    assert machine["memory"] > 2**28
    assert machine["torch"] == torch.__version__
    assert machine["gpu"] is None
    assert fingerprint(CPU) == machine


@pytest.mark.parametrize(
    "field", ["device", "cpu", "cores", "threads", "gpu", "capability", "torch", "cuda"]
)
def test_identity_changes_with_what_speed_depends_on(field):
    machine = fingerprint(CPU)
    assert identity(machine | {field: "another"}) != machine["id"]


@pytest.mark.parametrize("field", ["memory", "gpu_memory", "driver", "os", "python"])
def test_identity_is_that_of_equal_machines(field):
    machine = fingerprint(CPU)
    assert identity(machine | {field: "another"}) == machine["id"]


def test_calibration_is_flops_over_the_median_time():
    # Six calls each, the first untimed; every call reads the clock twice.
    durations = [100, 4, 1, 2, 90, 2] + [100, 8, 16, 80, 4, 8]
    ends = list(accumulate(durations))
    now = chain.from_iterable((t - d, t) for d, t in zip(durations, ends, strict=True))
    speed = calibrate(CPU, lambda: next(now))
    assert speed == {"matmul": 2 * 512**3 / 2, "convolution": 2 * 32 * 16 * 16 * 32 * 32 * 9 / 8}


@pytest.fixture
def backends():
    """The backends of convolutions and matrix products, both set to TF32."""
    backends = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32"
    yield backends
    for backend, precision in zip(backends, before, strict=True):
        backend.fp32_precision = precision


def test_calibration_is_in_float32_and_leaves_no_trace(backends):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    ticks = cycle([0.0, 1.0])
    seen = set()

    def now():
        seen.update(backend.fp32_precision for backend in backends)
        return next(ticks)

    calibrate(CPU, now)
    assert seen == {"ieee"}
    assert [backend.fp32_precision for backend in backends] == ["tf32", "tf32"]
    assert torch.equal(torch.rand(1), expected)


def test_imports_no_torch():
    code = "import sys, harness.machine.hardware; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.gpu
def test_of_a_gpu():
    device = torch.device("cuda")
    machine = fingerprint(device)
    assert machine["gpu"] == torch.cuda.get_device_name(device)
    assert machine["capability"] == ".".join(map(str, torch.cuda.get_device_capability(device)))
    assert machine["id"] != fingerprint(CPU)["id"]
    assert all(1e9 < speed < 1e16 for speed in calibrate(device).values())
