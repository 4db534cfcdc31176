"""A short soak; the long one is ``python scripts/soak.py FOLDER --minutes 30``."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/soak.py"


@pytest.mark.slow
def test_random_faults_change_no_row(tmp_path):
    command = [sys.executable, str(SCRIPT), str(tmp_path / "soak"), "--kills", "3", "--seed", "1"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "rows are those of the quiet run" in ended.stdout
