"""The audit of packages fails on findings alone, and claims nothing that it did not learn."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOUND = {"name": "a", "version": "1", "vulns": []}
BROKEN = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "expected"),
    [
        ([SOUND], 0, "1 of 1 packages: no known vulnerability"),
        ([SOUND, BROKEN], 1, "b 2: CVE-1; mended in 2.1"),
        ([SOUND, SKIPPED], 0, "not audited: c"),
        ([BROKEN, SKIPPED], 1, "not audited: c"),
        ([SKIPPED], 0, "NOT AUDITED: the advisory service knows none"),
        (None, 0, "NOT AUDITED: the advisory service cannot be reached"),
    ],
)
def test_the_verdict(packages, code, expected):
    spec = spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
    audit = module_from_spec(spec)
    spec.loader.exec_module(audit)
    answer = "" if packages is None else json.dumps({"dependencies": packages})
    found, lines = audit.verdict(answer)
    assert found == code
    assert any(expected in line for line in lines)
