"""From a benchmark file to trials and their identity."""
