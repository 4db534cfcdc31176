"""Charts with Altair, one per file: for the page, and as SVG and PDF for papers.

``drawings`` defines which charts a report has; ``style`` is shared by all.
"""
