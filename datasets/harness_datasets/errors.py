"""What is wrong with somebody's files of images."""

from harness.errors import UserError


class DatasetError(UserError):
    """A data set cannot be loaded as asked; the message says which file and what would do."""
