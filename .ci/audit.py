"""Fail if a pinned package has a known vulnerability; say so if nobody could be asked.

pip-audit answers "none found" also where its service knows none of the packages, as behind a mirror
of PyPI, and fails where there is no network. Neither is a finding, and neither is a clean bill.
"""

import json
import subprocess
import sys
from typing import Any

PATIENCE = 120  # seconds
COMMAND = ["pip-audit", "--requirement", "constraints.txt", "--no-deps", "--disable-pip"]
COMMAND += ["--format", "json", "--progress-spinner", "off"]


def verdict(answer: str) -> tuple[int, list[str]]:
    """Return exit code and lines for what pip-audit printed as JSON; "" if it did not."""
    if not answer.strip():
        return 0, ["NOT AUDITED: the advisory service cannot be reached"]
    packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return 0, ["NOT AUDITED: the advisory service knows none of the packages"]
    found = [
        f"{package['name']} {package['version']}: {hole['id']}; "
        f"mended in {', '.join(hole['fix_versions']) or 'no version yet'}"
        for package in asked
        for hole in package["vulns"]
    ]
    lines = found or [f"{len(asked)} of {len(packages)} packages: no known vulnerability"]
    unknown = [package["name"] for package in packages if "skip_reason" in package]
    return bool(found), lines + ([f"not audited: {', '.join(unknown)}"] if unknown else [])


def main() -> None:
    """Ask, print the verdict and leave with its code."""
    try:
        answer = subprocess.run(COMMAND, stdout=subprocess.PIPE, timeout=PATIENCE, text=True).stdout
    except subprocess.TimeoutExpired:
        answer = ""
    code, lines = verdict(answer)
    print("\n".join(lines))
    sys.exit(code)


if __name__ == "__main__":
    main()
