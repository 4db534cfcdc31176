"""A report folder: written, read, verified, exported."""
