"""One trial in a process of its own: ``python -m harness.worker FOLDER --device DEVICE``."""
