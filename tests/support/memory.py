"""A record store that is two dicts: the read path of a test that needs no database."""

from collections.abc import Iterable
from pathlib import Path

import orjson

from resolver.answer import Stored, Tier
from resolver.handlejson import values_from_json, values_to_json
from resolver.identifier import PREFIX_HANDLE
from resolver.schemes import parse_handle
from resolver.source import SourceUnavailable, Whole
from resolver.wire import HandleValue, encode_values
from tests.support.sources import EachAlone


class MemoryStore(EachAlone):
    """Source, vault and prefixes at once, as the node's store is."""

    def __init__(self) -> None:
        self.values_by_key: dict[bytes, tuple[HandleValue, ...]] = {}
        self.spellings: dict[bytes, bytes] = {}
        self.tombstones: dict[bytes, bytes] = {}
        self.versions: dict[bytes, int] = {}  # of those that are not 1
        self.homed: set[bytes] = set()
        self.delegated: set[bytes] = set()
        self.is_down = False
        self.serial = 1

    def put(self, handle: str, values: Iterable[HandleValue]) -> None:
        """Write a record; one of `0.NA/…` homes its prefix."""
        key = parse_handle(handle.encode()).key
        self.serial += 1
        self.values_by_key[key] = tuple(values)
        self.tombstones.pop(key, None)
        self.spellings[key] = handle.encode()
        if key.startswith(PREFIX_HANDLE):
            self.homed.add(key.removeprefix(PREFIX_HANDLE))

    def bury(self, handle: str, at: int, reason: str) -> None:
        """Delete a record; what is left says when and why."""
        key = parse_handle(handle.encode()).key
        self.serial += 1
        self.values_by_key.pop(key, None)
        self.tombstones[key] = orjson.dumps({"at": at, "reason": reason})

    def load(self, file: Path) -> None:
        """Write the records of a Handle JSON file."""
        for line in file.read_text("utf-8").splitlines():
            record = orjson.loads(line)
            values = values_from_json(record["values"], now=0, keep_timestamps=True)
            self.put(record["handle"], values)

    async def lookup(self, key: bytes, *, at_least: int = 0) -> Stored:
        """See resolver.source.Source."""
        if self.is_down:
            raise SourceUnavailable
        found = self.values_by_key.get(key)
        if found is None:
            left = self.tombstones.get(key, b"")
            return Stored(self.serial, None, 60, False, b"", left, Tier.POSTGRES)
        public = [value for value in found if value.is_public]
        return Stored(
            self.serial,
            self.spellings[key],
            86_400,
            len(public) < len(found),
            encode_values(public),
            values_to_json(public),
            Tier.POSTGRES,
            self.versions.get(key, 1),
        )

    async def values(self, key: bytes) -> Whole:
        """See resolver.source.Vault."""
        found = self.values_by_key.get(key)
        if found is None:
            return Whole(self.serial, None)
        return Whole(self.serial, tuple(value for value in found if value.type != b"HS_SECKEY"))

    def is_homed(self, prefix: bytes) -> bool:
        """See resolver.source.Prefixes."""
        return prefix in self.homed

    def is_delegated(self, prefix: bytes) -> bool:
        """See resolver.source.Prefixes."""
        return prefix in self.delegated
