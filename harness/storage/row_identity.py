"""Identity of rows: a row belongs to the trial that its folder is named after."""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError
from harness.row import Row

_REMEDY = "remove its folder, and the next run runs the trial again"


def check_folder(row: Row, trial: str, path: Path) -> None:
    """Raise ``UserError`` if a row is not of the trial whose folder it was read from.

    A folder copied in place of another trial's would count one training twice.

    Args:
        row: as it was read.
        trial: identity, the name of the folder.
        path: of the file that it was read from.
    """
    if row.trial != trial:
        raise UserError(
            f"{path} holds the row of trial {row.trial} ({row.title}), but its folder is that of "
            f"trial {trial}; {_REMEDY}"
        )


def check_identity(row: Row, trial: str, path: Path) -> None:
    """Raise ``UserError`` as above, and if the row's settings are not those of its identity.

    Rows that do not record their plan are trusted.
    """
    from harness.planning.trial import Trial

    check_folder(row, trial, path)
    if not row.planned:
        return
    try:
        planned = Trial.of(row).id
    except ValueError as error:
        raise UserError(
            f"{path}: the row cannot be planned: {str(error).splitlines()[0]}; {_REMEDY}"
        ) from None
    if planned != trial:
        raise UserError(
            f"{path}: the recorded plan has the id {planned}, not {trial}: its settings were "
            f"changed after it ran; {_REMEDY}"
        )
