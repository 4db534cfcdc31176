"""The metrics on anybody's files, and audits against other libraries."""
