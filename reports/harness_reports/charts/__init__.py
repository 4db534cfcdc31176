"""Charts with Altair, one a file: for the page, and as SVG and PDF for papers.

``drawings`` says which a report has; ``style`` is what they have in common.
"""
