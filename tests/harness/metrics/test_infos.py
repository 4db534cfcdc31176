import subprocess
import sys

from harness.metrics import harness_metrics
from harness.metrics.base import SampleMetric


def test_targets_are_metrics_whose_direction_is_told():
    import importlib

    infos = {info.name: info for info in harness_metrics()}
    assert {name: info.label for name, info in infos.items()} == {"fid": "FID", "is": "IS"}
    assert {name: info.lower_is_better for name, info in infos.items()} == {
        "fid": True,
        "is": False,
    }
    for info in infos.values():
        module, attribute = info.target.split(":")
        assert issubclass(getattr(importlib.import_module(module), attribute), SampleMetric)


def test_listing_imports_no_torch():
    code = (
        "import sys, harness.metrics, harness.features; "
        "harness.metrics.harness_metrics(), harness.features.harness_features(); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
