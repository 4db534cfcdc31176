"""Data-parallel training: one trial on several devices, each with its share of every batch."""
