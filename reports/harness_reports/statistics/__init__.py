"""Statistics of rows: intervals, comparisons, ranks, Pareto fronts and anytime curves.

All but the curves start from ``observations``, a tidy frame with one line per set of samples.
Nothing here imports torch.
"""
