import importlib
import subprocess
import sys

from harness.metrics import harness_metrics
from harness.metrics.base import SampleMetric, TaskMetric

HIGHER_IS_BETTER = {
    "is",
    "precision",
    "recall",
    "density",
    "coverage",
    "c_t",
    "auth_pct",
    "fid_gap",
    "modes",
    "vendi",
    "label_accuracy",
    "psnr",
    "ssim",
}


def test_targets_are_metrics_whose_direction_is_reported():
    infos = {info.name: info for info in harness_metrics()}
    assert {name for name, info in infos.items() if not info.lower_is_better} == HIGHER_IS_BETTER
    for info in infos.values():
        module, attribute = info.target.split(":")
        base = TaskMetric if info.conditions else SampleMetric
        assert issubclass(getattr(importlib.import_module(module), attribute), base)
        assert info.label


def test_listing_imports_no_torch():
    code = (
        "import sys, harness.metrics, harness.features; "
        "harness.metrics.harness_metrics(), harness.features.harness_features(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
