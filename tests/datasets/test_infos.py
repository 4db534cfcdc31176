import subprocess
import sys

import pytest

from harness.plugins.registry import Registry
from harness_datasets import harness_datasets


@pytest.mark.parametrize("info", harness_datasets(), ids=lambda info: info.name)
def test_the_loader_can_be_imported(info):
    assert callable(Registry.load(info))


def test_listing_imports_nothing_heavy():
    program = (
        "import sys, harness_datasets; harness_datasets.harness_datasets(); "
        "print({'torch', 'torchvision', 'sklearn', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "set()", found.stdout + found.stderr
