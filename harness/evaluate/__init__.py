"""The metrics on image files of any model, and audits against other libraries."""
