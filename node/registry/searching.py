"""ReverseLookup: which handles bear values that match, found by the index and compared with the records themselves.

The index may be behind; the answer is of the records as they are now, their public values only, so what has just been
hidden or deleted is never told.  Each look-up has a limit and SEARCH_SECONDS; few run at once, and few more wait.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from node.registry.patterns import Pattern, PatternError, SearchedTypes, searched_texts
from node.store.database import Connection, Database, StoreUnavailable
from node.store.reverse import (
    SEARCH_SECONDS,
    Candidate,
    SearchTooBroad,
    find_keys,
    prepare_search,
    read_candidates,
)
from resolver.identifier import PREFIX_HANDLE
from resolver.source import Prefixes

MAX_SEARCHES = 2  # of one worker under way at once
MAX_WAITING = 8  # beyond these one is refused
MAX_PATTERNS = 16
FIRST_KEYS, MOST_KEYS = 500, 10_000  # found in one statement; four times as many each time
COMPARED_AT_ONCE = 200  # records, between two looks at the clock
_ZERO_NA = PREFIX_HANDLE.rstrip(b"/")


class IndexIncomplete(StoreUnavailable):
    """The index is being made: what is not found now may be found later."""


class Wanted(NamedTuple):
    """What to look for: patterns that must all match, and which part of what does.

    `after` is a canonical key, `within` the prefixes to stay in (none: all).
    """

    patterns: Sequence[Pattern]
    limit: int
    after: bytes = b""
    skip: int = 0
    within: Sequence[bytes] = ()


class Found(NamedTuple):
    """Handles as they were registered, in the order of their keys; `last` is where the next page starts after."""

    handles: tuple[bytes, ...]
    last: bytes | None


class ReverseLookup:
    """What one worker needs to look up in reverse."""

    def __init__(self, database: Database, types: SearchedTypes, prefixes: Prefixes) -> None:
        self._database = database
        self._types = types
        self._prefixes = prefixes
        self._gate = asyncio.Semaphore(MAX_SEARCHES)
        self._asked = 0

    @property
    def is_offered(self) -> bool:
        """False when the settings name no types."""
        return bool(self._types)

    async def find(self, wanted: Wanted) -> Found:
        """Return the handles of one page.

        Raises PatternError, SearchTooBroad, IndexIncomplete, StoreUnavailable, StoreError.
        """
        self._check(wanted.patterns)
        if self._asked >= MAX_SEARCHES + MAX_WAITING:
            raise StoreUnavailable("too many reverse look-ups wait")
        self._asked += 1
        try:
            async with self._gate:
                return await self._database.read(
                    SEARCH_SECONDS + 1, lambda connection: self._find(connection, wanted)
                )
        finally:
            self._asked -= 1

    def _check(self, patterns: Sequence[Pattern]) -> None:
        if not patterns:
            raise PatternError("name a type and a pattern, such as URL=*example.com*")
        if len(patterns) > MAX_PATTERNS:
            raise PatternError(f"at most {MAX_PATTERNS} patterns at once")
        for pattern in patterns:
            if pattern.type not in self._types:
                kind = pattern.type.decode()
                raise PatternError(f"values of type {kind} are not searched on this server")

    async def _find(self, connection: Connection, wanted: Wanted) -> Found:
        async with connection.transaction(readonly=True):
            return await self._search(connection, wanted)

    async def _search(self, connection: Connection, wanted: Wanted) -> Found:
        state = await prepare_search(connection)
        if not state.is_usable(self._types.rules):
            raise IndexIncomplete("the index of reverse look-up is being made; try again later")
        grams = list({gram for pattern in wanted.patterns for gram in pattern.grams()})
        enough = wanted.skip + wanted.limit + 1  # one more tells that there is more
        hits: list[Candidate] = []
        async with aclosing(_keys(connection, grams, wanted.after)) as pages:
            async for keys in pages:
                found = await read_candidates(connection, keys)
                hits += [each for each in found if self._is_hit(each, wanted)]
                if len(hits) >= enough:
                    break
        return _cut(hits, wanted)

    def _is_hit(self, candidate: Candidate, wanted: Wanted) -> bool:
        if not self._is_served(candidate, wanted.within):
            return False
        texts = searched_texts(candidate.wire, self._types)
        return all(pattern.finds(texts) for pattern in wanted.patterns)

    def _is_served(self, candidate: Candidate, within: Sequence[bytes]) -> bool:
        """Whether this server answers for it, as far as its prefix tells."""
        prefix = candidate.prefix
        if prefix == _ZERO_NA:
            prefix = candidate.key.removeprefix(PREFIX_HANDLE)
        if within and prefix not in within:
            return False
        is_known = self._prefixes.is_homed(prefix) or (
            candidate.prefix == _ZERO_NA and self._prefixes.is_delegated(prefix)
        )
        return is_known or b":" in prefix  # a namespace of another scheme lies in one that is homed


async def _keys(
    connection: Connection, grams: Sequence[int], after: bytes
) -> AsyncGenerator[Sequence[bytes], None]:
    """Yield the keys of what may match, some at a time.  Raises SearchTooBroad after SEARCH_SECONDS."""
    clock = asyncio.get_running_loop().time
    deadline, size = clock() + SEARCH_SECONDS, FIRST_KEYS
    while True:
        keys = await find_keys(connection, grams, after, size, deadline - clock())
        for start in range(0, len(keys), COMPARED_AT_ONCE):
            if clock() > deadline:
                raise SearchTooBroad
            yield keys[start : start + COMPARED_AT_ONCE]
        if len(keys) < size:
            return
        after, size = keys[-1], min(size * 4, MOST_KEYS)


def _cut(hits: Sequence[Candidate], wanted: Wanted) -> Found:
    shown = hits[wanted.skip : wanted.skip + wanted.limit]
    more = len(hits) > wanted.skip + wanted.limit
    return Found(tuple(each.handle for each in shown), shown[-1].key if more else None)
