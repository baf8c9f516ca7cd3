"""Exports: records as load files, from one snapshot, with a manifest to check them by.

An export can be loaded again and changes nothing then.  A secret key is never in it: in its place stands
`{"format": "withheld"}`, which a load takes as "leave what is stored".  In CSV, a text that a spreadsheet would take
for a formula gets an apostrophe in front, which a load takes away (`node.registry.spreadsheet`); CSV cannot hold a
record without values, so those are left out there and counted.
"""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import orjson

from node.registry.loadfile import LoadFormat
from node.registry.manifests import Manifest
from node.registry.merging import WITHHELD
from node.registry.spreadsheet import EXPORTED_COLUMNS, FORMATTED, escape_formula
from node.store.exports import BarePrefix, ExportRow, Snapshot, spans
from node.store.prefixes import PrefixState
from node.store.records import is_secret
from resolver.handlejson import values_from_json, values_to_json
from resolver.identifier import PREFIX_HANDLE, IdentifierError
from resolver.schemes import parse_handle
from resolver.wire import HandleValue, Permission, decode_values, encode_value

DEFAULT_PERMISSIONS = "1110"
REMEMBERED_BYTES = 512  # a longer value is hardly ever the same in two records
_BEGINNING = "1970-01-01T00:00:00Z"
_HS = b"HS_"

Json = dict[str, object]


class Wanted(NamedTuple):
    """What to export: the records of a prefix (canonical name; None: all), and in which form.

    `public_only` leaves out values that not everybody may read.
    """

    prefix: bytes | None = None
    format: LoadFormat = LoadFormat.NDJSON
    public_only: bool = False
    case_sensitive: bool = False


@dataclass(slots=True)
class Tallies:
    """What an export holds: records, withheld secrets, and records that its form cannot hold."""

    records: int = 0
    withheld: int = 0
    left_out: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


class Exporter:
    """Writes one export; `tallies` are complete when `blocks` has come to its end."""

    def __init__(self, snapshot: Snapshot, wanted: Wanted) -> None:
        self._snapshot = snapshot
        self._wanted = wanted
        self.tallies = Tallies()

    async def blocks(self) -> AsyncIterator[bytes]:
        """Return the bytes of the file.  Raises StoreUnavailable, StoreError."""
        if self._wanted.format is LoadFormat.CSV:
            yield self._count(_csv([EXPORTED_COLUMNS]))
        async for prefixes in self._snapshot.bare_prefixes(self._wanted.prefix):
            yield self._count(self._write([_bare_line(each) for each in prefixes]))
        for span in spans(self._wanted.prefix):
            async for page in self._snapshot.records(span):
                yield self._count(await asyncio.to_thread(self._write_records, page))

    def manifest(self, name: str, at: int) -> Manifest:
        """Return what was written, as the file `name`, at an epoch second."""
        return Manifest(
            records=self.tallies.records,
            withheld=self.tallies.withheld,
            left_out=self.tallies.left_out,
            epoch=self._snapshot.position.epoch,
            serial=self._snapshot.position.serial,
            at=at,
            sha256=self.tallies.digest.hexdigest(),
            name=name,
        )

    def _count(self, block: bytes) -> bytes:
        self.tallies.digest.update(block)
        return block

    def _write_records(self, page: Sequence[ExportRow]) -> bytes:
        return self._write([self._line(row) for row in page])

    def _line(self, row: ExportRow) -> Json:
        values = decode_values(row.values)
        if self._wanted.public_only:
            values = tuple(each for each in values if each.permissions & Permission.PUBLIC_READ)
        self.tallies.withheld += sum(is_secret(value) for value in values)
        items = [_withheld(each) if is_secret(each) else _exact(each) for each in values]
        name = self._name(row)
        return {"handle": name, **_prefix_words(row), "values": items}

    def _name(self, row: ExportRow) -> str:
        """Return the registered spelling, if a load takes it for the same record; else the canonical one."""
        try:
            spelled = parse_handle(row.handle, case_sensitive=self._wanted.case_sensitive)
            return (row.handle if spelled.key == row.key else row.key).decode()
        except IdentifierError:
            return row.key.decode()

    def _write(self, lines: Sequence[Json]) -> bytes:
        if self._wanted.format is LoadFormat.NDJSON:
            self.tallies.records += len(lines)
            return b"".join(
                [orjson.dumps(each, option=orjson.OPT_APPEND_NEWLINE) for each in lines]
            )
        rows = [_csv_rows(line) for line in lines]
        self.tallies.records += sum(1 for each in rows if each)
        self.tallies.left_out += sum(1 for each in rows if not each)
        return _csv(row for each in rows for row in each)


def _prefix_words(row: ExportRow) -> Json:
    """Return what a `0.NA/` line says of its prefix."""
    if not row.key.startswith(PREFIX_HANDLE):
        return {}
    if row.state is None:
        return {"homed": False}
    return {"delegated": row.state is PrefixState.DELEGATED}


def _bare_line(prefix: BarePrefix) -> Json:
    name = PREFIX_HANDLE.decode() + prefix.spelling
    return {"handle": name, "delegated": prefix.state is PrefixState.DELEGATED, "values": None}


def _withheld(value: HandleValue) -> Json:
    return {**_exact(replace(value, data=b"")), "data": {"format": WITHHELD}}


def _exact_json(value: HandleValue) -> bytes:
    """Return the JSON of a value from which a load makes the same value: where that fails, its data as base64."""
    (item,) = orjson.loads(values_to_json((value,)))
    item.setdefault("timestamp", _BEGINNING)
    if value.type[:3].upper() == _HS:
        (back,) = values_from_json([item], now=0, keep_timestamps=True)
        if encode_value(back) != encode_value(value):
            (plain,) = orjson.loads(values_to_json((replace(value, type=b"X"),)))
            item["data"] = plain["data"]
    return orjson.dumps(item)


_remembered_json = lru_cache(maxsize=4_096)(_exact_json)


def _exact(value: HandleValue) -> Json:
    is_short = len(value.data) <= REMEMBERED_BYTES and not value.references
    found: Json = orjson.loads((_remembered_json if is_short else _exact_json)(value))
    return found


def _csv_rows(line: Json) -> list[tuple[str, ...]]:
    handle = str(line["handle"])
    words = tuple(_word(line.get(name)) for name in ("delegated", "homed"))
    values = line["values"]
    if not isinstance(values, list) or not values:
        is_prefix = handle[:5].upper() == PREFIX_HANDLE.decode()
        return [(escape_formula(handle), *[""] * 7, *words)] if is_prefix else []
    return [(escape_formula(handle), *_csv_value(value), *words) for value in values]


def _csv_value(value: Json) -> tuple[str, ...]:
    return (
        str(value["index"]),
        escape_formula(str(value["type"])),
        escape_formula(_csv_data(value["data"])),
        str(value["ttl"]),
        str(value.get("permissions", DEFAULT_PERMISSIONS)),
        str(value["timestamp"]),
        orjson.dumps(value["references"]).decode() if "references" in value else "",
    )


def _csv_data(data: object) -> str:
    if isinstance(data, dict) and data.get("format") == "string":
        text = str(data["value"])
        if not text.startswith(FORMATTED):
            return text
    return orjson.dumps(data).decode()


def _word(flag: object) -> str:
    return "" if flag is None else str(flag).lower()


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(rows)
    return out.getvalue().encode()
