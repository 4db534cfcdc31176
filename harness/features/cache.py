"""The cache folder of the harness."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

VARIABLE = "GENHARNESS_CACHE"


def cache_root() -> Path:
    """Return ``$GENHARNESS_CACHE``, or the user's cache folder of this package."""
    own = os.environ.get(VARIABLE)
    return Path(own).expanduser() if own else Path(platformdirs.user_cache_dir("genharness"))
