"""Remedies for errors of a store, where ``harness sync`` alone does not help."""

from __future__ import annotations

from harness.tracking.address import ESCAPE


class DeletedExperiment(Exception):
    """The experiment of a benchmark was deleted in MLflow, which keeps its name reserved.

    Attributes:
        experiment: its id.
    """

    def __init__(self, benchmark: str, experiment: str) -> None:
        super().__init__(f"the experiment {benchmark!r} was deleted in MLflow")
        self.experiment = experiment


_LATER = ", and 'harness sync' sends them later"
# Parts of error messages of SQLite and MLflow, and their remedies before 'harness sync'.
_BEFORE = {
    "file is not a database": "move that file away",
    "is a folder": "move that folder away",
    "malformed": "move that file away",
    "readonly": "make that file and its folder writable",
    "unable to open": "make that file and its folder writable",
    "disk is full": "free some space",
    "No space left": "free some space",
    "is locked": "stop the process that locks that file",
    "must be in the 'active' state": "restore in MLflow what was deleted there",
}
_OTHER_VERSION = ("database schema", "Can't locate revision")


def remedy(error: Exception, settings: str, is_clear: bool) -> str:
    """Return the end of a sentence: the remedy for an error, before or besides ``sync``.

    Args:
        error: of MLflow, SQLite or the network.
        settings: prefix of a command ``mlflow`` that makes it use the store.
        is_clear: whether the store's address is unambiguous.
    """
    if isinstance(error, DeletedExperiment):
        restore = f"{settings}mlflow experiments restore --experiment-id {error.experiment}"
        return (
            f"; restore it with `{restore}`, then 'harness sync' sends them; or give the benchmark "
            "another name"
        )
    if isinstance(error, ModuleNotFoundError):  # the driver of a database
        return f"; install {error.name}, then 'harness sync' sends them"
    text = str(error)
    if any(words in text for words in _OTHER_VERSION):
        return (
            "; the store belongs to another version of MLflow: install that one, or make a copy of "
            "the store and upgrade it with 'mlflow db upgrade ADDRESS', then 'harness sync' sends "
            "them"
        )
    for words, help_ in _BEFORE.items():
        if words in text:
            return f"; {help_}, then 'harness sync' sends them"
    if not is_clear:
        return f"; {ESCAPE}, then 'harness sync' sends them"
    return _LATER
