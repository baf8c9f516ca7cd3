"""Front ends: one transport per file; they parse, ask, encode and observe, and decide nothing."""
