"""Errors of data sets."""

from harness.errors import UserError


class DatasetError(UserError):
    """A data set cannot be loaded; the message names the file and what is expected."""
