"""Every test that the page on failures names as a proof exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_proof_is_a_test():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/failures.md").read_text()))
    there = {
        node.name
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > 20
    assert named <= there, f"there is no {', '.join(sorted(named - there))}"
