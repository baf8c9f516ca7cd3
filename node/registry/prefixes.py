"""PrefixTable: the known prefixes in memory, so that "is it ours?" never waits for anything.

Every worker loads it at start and refreshes it from the change feed; while Postgres is away the
last known state stands.
"""

from collections.abc import Iterable

from node.store.database import Database
from node.store.prefixes import PrefixState, read_prefixes


class PrefixTable:
    """Implements `resolver.source.Prefixes`.  Names are canonical (upper-case ASCII)."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._states: dict[bytes, PrefixState] = {}

    def __len__(self) -> int:
        return len(self._states)

    def is_homed(self, prefix: bytes) -> bool:
        """True when records under this prefix are answered here."""
        return self._states.get(prefix) is PrefixState.HOMED

    def is_delegated(self, prefix: bytes) -> bool:
        """True when the enterprise node that its `0.NA/` record names serves this prefix."""
        return self._states.get(prefix) is PrefixState.DELEGATED

    async def load(self) -> None:
        """Read all prefixes anew.  Raises StoreUnavailable, StoreError."""
        self._states = {row.prefix: row.state for row in await read_prefixes(self._database)}

    async def refresh(self, names: Iterable[bytes]) -> None:
        """Read these prefixes anew; one that is gone is forgotten.  Raises as `load`."""
        wanted = list(set(names))
        if not wanted:
            return
        found = {row.prefix: row.state for row in await read_prefixes(self._database, wanted)}
        for name in wanted:
            self._states.pop(name, None)
        self._states.update(found)
