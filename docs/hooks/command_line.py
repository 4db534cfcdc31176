"""The reference of the command line, as typer writes it from the commands; none imports torch.

``<!-- commands -->`` in a page becomes a section for each command.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

PLACE = "<!-- commands -->"
ROOT = Path(__file__).parents[2]
# The page has a title and a table of contents of its own.
_TITLE = re.compile(r"\A# .*\n")
_CONTENTS = re.compile(r"^\*\*Commands\*\*:\n\n(\* .*\n)+", re.MULTILINE)
_HEADING = re.compile(r"^## `(.*)`$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the place in a page."""
    return markdown.replace(PLACE, commands()) if PLACE in markdown else markdown


def commands() -> str:
    """Return the options of ``harness`` and a section for each command, in Markdown."""
    program = [sys.executable, "-m", "typer", "harness.cli", "utils", "docs", "--name", "harness"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(program, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"typer cannot describe the command line:\n{result.stderr}")
    return _HEADING.sub(r"## \1", _CONTENTS.sub("", _TITLE.sub("", result.stdout)))
