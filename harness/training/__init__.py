"""The training loop, and all that it alone decides: batches, averaging, the ledger."""
