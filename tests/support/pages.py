"""The documentation's pages, as blocks of code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A page of whole files that want other libraries; tests/external holds it to them, and runs them.
EXTERNAL = "docs/external.md"
PAGES = sorted(
    {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    }
    - {EXTERNAL}
)
_FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})(?P<language>\S*)")
_ITEM = re.compile(r"\s*([-*+]|\d+\.)\s")


@dataclass(frozen=True)
class Block:
    """A block of code: where it begins, and its language, "" where it is indented."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str, language: str | None = None) -> list[Block]:
    """Return the blocks of a page, in order; of one language, if it is given."""
    found = _blocks(page, (ROOT / page).read_text("utf-8").splitlines())
    return [block for block in found if language in (None, block.language)]


def _blocks(page: str, lines: list[str]) -> Iterator[Block]:
    previous, i = "", 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        if fence:
            end = lines.index(fence["fence"], i + 1)
            yield Block(page, i + 1, fence["language"], "\n".join(lines[i + 1 : end]) + "\n")
            i = end
        # Deeper lines of a list belong to its items.
        elif lines[i].startswith("    ") and not lines[i - 1].strip() and not _in_list(previous):
            end = i
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            text = "\n".join(line[4:] for line in lines[i:end]).rstrip() + "\n"
            yield Block(page, i + 1, "", text)
            i = end - 1
        previous = lines[i] if lines[i].strip() else previous
        i += 1


def _in_list(line: str) -> bool:
    return bool(_ITEM.match(line)) or line.startswith("  ")
