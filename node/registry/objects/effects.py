"""Effects: what steps do to resolution: which prefixes are homed, delegated or let go, and what their records say.

Who answers is the model's to say (`Prefix.answerer`); here it is carried out in the transaction of the step.  Carrying
out the same twice changes nothing the second time.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from node.model.prefix import Answerer, Prefix
from node.model.prefixname import canonical
from node.model.rule import ModelError, Rule
from node.registry.encoding import RecordTooLong, encode_record
from node.registry.objects.delegation import with_sites
from node.store.answering import (
    VersionLine,
    answer_prefixes,
    lock_answers,
    of_prefix,
    of_record,
    put_records,
)
from node.store.changes import ChangeKind
from node.store.database import Connection, StoreUnavailable
from node.store.load import RecordRow
from node.store.prefixes import PrefixRow, PrefixState
from node.store.writing import StoredRecord
from resolver.identifier import PREFIX_HANDLE
from resolver.schemes import parse_handle
from resolver.wire import decode_values

_STATES = {Answerer.HERE: PrefixState.HOMED, Answerer.ENTERPRISE: PrefixState.DELEGATED}


class Answered(NamedTuple):
    """A prefix, and who is to answer for it."""

    prefix: Prefix
    answerer: Answerer

    @property
    def name(self) -> bytes:
        """The canonical name."""
        return canonical(self.prefix.prefix).encode()

    @property
    def key(self) -> bytes:
        """The key of its prefix record."""
        return PREFIX_HANDLE + self.name


class Effect(NamedTuple):
    """A change to be numbered, and the version to be written once it is (its serial is still 0)."""

    key: bytes
    kind: ChangeKind
    version: VersionLine


async def carry_out(connection: Connection, wanted: Sequence[Answered], now: int) -> list[Effect]:
    """Have prefixes answered as they are to be, and return what that changed.

    `now` is an epoch second.  Raises ModelError: the prefix record has no room for the sites.
    """
    if not wanted:
        return []
    names = [each.name for each in wanted]
    facts = await lock_answers(connection, sorted(each.key for each in wanted), names)
    effects = await _put_records(connection, wanted, facts.records, now)
    rows = [
        PrefixRow(each.name, each.prefix.prefix, _STATES[each.answerer])
        for each in wanted
        if each.answerer in _STATES
    ]
    gone = [name for name in facts.prefixes if name not in {row.prefix for row in rows}]
    homed = {row.prefix for row in rows if row.state is PrefixState.HOMED}
    for name in await answer_prefixes(connection, rows, gone):
        version = of_prefix(name, 0, is_homed=name in homed)
        effects.append(Effect(name, ChangeKind.PREFIX, version))
    return effects


async def _put_records(
    connection: Connection,
    wanted: Sequence[Answered],
    stored: Mapping[bytes, StoredRecord],
    now: int,
) -> list[Effect]:
    planned = [_record_of(each, stored.get(each.key), now) for each in wanted]
    versions = await put_records(connection, [row for row in planned if row is not None])
    effects = []
    for key, version in versions.items():
        before = stored.get(key)
        if version != (before.version if before else 0) + 1:
            raise StoreUnavailable("somebody else has just written the prefix record; try again")
        line = of_record(key, version, 0, before)
        effects.append(Effect(key, ChangeKind.RECORD, line))
    return effects


def _record_of(wanted: Answered, stored: StoredRecord | None, now: int) -> RecordRow | None:
    """Return the prefix record to be written, None if it is as it should be or nobody is to answer."""
    if wanted.answerer is Answerer.NOBODY:
        return None
    alive = stored if stored is not None and not stored.is_gone else None
    values = decode_values(alive.encoded) if alive else ()
    sites = wanted.prefix.sites if wanted.answerer is Answerer.ENTERPRISE else ()
    after = with_sites(values, sites, now)
    if alive and after == values:
        return None
    handle = PREFIX_HANDLE + wanted.prefix.prefix.encode()
    try:
        row = encode_record(parse_handle(handle, case_sensitive=False), after)
    except RecordTooLong as error:
        raise ModelError("sites", Rule.LENGTH, f"the prefix record has no room: {error}") from error
    return row._replace(handle=alive.handle) if alive else row
