"""Window: how much memory the window of recent changes takes in a worker, or the keeper, weighed and not assumed.

`resolver.freshness` keeps the keys that changed last, up to a bound that half an hour of writes does not reach: what it
grows by until then is no leak.  So the changes that a node has made are learnt once more, by a window of our own, and
that is weighed as it was at each moment: its tables, its keys, its serials, as an allocator hands them out.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence

from loadtest.stand import Node
from node.store.database import connect
from resolver.freshness import Freshness

ALIGNED_BYTES = 16  # of CPython's obmalloc
_CHANGES = "select serial, key from change where kind = 0 order by serial"

Changes = Sequence[tuple[int, bytes]]
"""Serials with the keys of records, in order."""


class Window(Freshness):
    """A window that can be weighed."""

    @property
    def weight(self) -> int:
        """The bytes that it takes."""
        return sum(_weigh(generation) for generation in (self._young, self._old))


def weights(changes: Changes, serials: Iterable[int], window: Window | None = None) -> list[int]:
    """Return what the window weighs when it has learnt the changes up to each of these serials, which rise."""
    learning, found, at = window or Window(), [], 0
    for serial in serials:
        first = at
        while at < len(changes) and changes[at][0] <= serial:
            at += 1
        learning.learn(serial, changes[first:at])
        found.append(learning.weight)
    return found


def read_changes(node: Node) -> Changes:
    """Return all changes of records that a node's database knows of.  Raises StoreUnavailable, StoreError."""

    async def read() -> Changes:
        connection = await connect(node.settings.database_url)
        try:
            return [(row[0], row[1]) for row in await connection.fetch(_CHANGES)]
        finally:
            await connection.close()

    return asyncio.run(read())


def _weigh(generation: dict[bytes, int]) -> int:
    entries = sum(_aligned(key) + _aligned(serial) for key, serial in generation.items())
    return sys.getsizeof(generation) + entries


def _aligned(each: object) -> int:
    return -(-sys.getsizeof(each) // ALIGNED_BYTES) * ALIGNED_BYTES
