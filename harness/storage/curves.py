"""Evaluations during training, as frames: validated when read, and joined."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.files.untrusted import MEBIBYTE
from harness.results import CURVE_COLUMNS

if TYPE_CHECKING:
    import pandas as pd

MOST_LINES = 100_000_000
MOST_BYTES = 4096 * MEBIBYTE


def join_curves(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate frames; empty ones are ignored, as they have no column types."""
    import pandas as pd

    frames = [frame for frame in frames if not frame.empty]
    if not frames:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(frames, ignore_index=True)


def read_curves(content: bytes, where: Path) -> pd.DataFrame:
    """Return the curves in a Parquet file, which is untrusted.

    Raises:
        UserError: it is damaged, too large once unpacked, or holds more than numbers and text.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        metadata = file.metadata
        groups = (metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
        if metadata.num_rows > MOST_LINES or sum(groups) > MOST_BYTES:
            raise UserError(f"{where}: its curves are too large")
        strange = [field.name for field in file.schema_arrow if not _is_figure(field.type)]
        if strange:
            raise UserError(f"{where}: column {strange[0]!r} holds neither numbers nor text")
        # pandas' own metadata could ask for types of its choice.
        frame: pd.DataFrame = file.read().to_pandas(ignore_metadata=True)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{where}: its curves are damaged: {error}") from None
    missing = [name for name in CURVE_COLUMNS if name not in frame.columns]
    if missing:
        raise UserError(f"{where}: its curves have no column {missing[0]!r}")
    return frame


def _is_figure(kind: Any) -> bool:
    from pyarrow import types

    tests = (types.is_floating, types.is_integer, types.is_null, types.is_string)
    return any(test(kind) for test in (*tests, types.is_large_string))
