"""Rows, checkpoints and curves on disk: the source of truth."""
