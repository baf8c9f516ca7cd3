"""Source: the one protocol that the whole read path shares; a tier is a Source that holds the next one."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from resolver.answer import Stored
from resolver.wire import HandleValue

NEWEST = 2**63 - 1
"""As `at_least`: skip every cache and ask the truth."""


class SourceUnavailable(Exception):
    """The last source cannot be reached: the caller is told "busy, try again", never "no such handle"."""


Give = Callable[[Mapping[bytes, Stored]], None]
"""Takes answers by canonical key; it does not raise."""


class Source(Protocol):
    """Finds records by canonical key."""

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """Return the record, or a `Stored` without handle when there is none.

        `at_least` is the serial that the answer must have been read at, or later: 0 takes any cached one.
        Raises SourceUnavailable.
        """
        ...

    async def gather(self, keys: Sequence[bytes], give: Give) -> None:
        """Look up several keys, each named once: what `lookup` returns is given as soon as it is there, in portions.

        Raises SourceUnavailable in the end when some could not be read; those were not given.
        """
        ...


class Whole(NamedTuple):
    """All values of a record in stored order (None: no such record), and the serial they were read at."""

    serial: int
    values: tuple[HandleValue, ...] | None


class Vault(Protocol):
    """Reads whole records, restricted values included (HS_SECKEY never); only Postgres is one."""

    async def values(self, key: bytes) -> Whole:
        """Return the record as it is now, values and serial of one snapshot.  Raises SourceUnavailable.

        It may be ahead of what sources have given: see `Resolver`.
        """
        ...


class Prefixes(Protocol):
    """The prefixes this node knows, kept in memory by every worker (architecture: homing is the on/off switch)."""

    def is_homed(self, prefix: bytes) -> bool:
        """True when records under this canonical prefix name are answered here."""
        ...

    def is_delegated(self, prefix: bytes) -> bool:
        """True when this prefix is served by an enterprise node that its `0.NA/` record names."""
        ...
