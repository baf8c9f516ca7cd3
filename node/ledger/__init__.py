"""The audit ledger: one record for each answer, committed to a log that outsiders cosign."""
