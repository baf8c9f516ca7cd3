"""The monthly report: one canonical JSON document, signed, and everything that is rendered from it alone."""
