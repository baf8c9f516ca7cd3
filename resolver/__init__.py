"""What does this identifier mean?  Parsing, resolving and answering; no Postgres, no node, no sync."""
