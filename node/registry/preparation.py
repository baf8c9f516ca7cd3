"""What a write needs before it can be decided, and what its plan becomes in the database.

Secret keys are sealed on the way in, before anything compares or keeps them; a handle to be minted gets its suffix; an
idempotency key that was used before answers at once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

import orjson

from node.registry.encoding import encode_record, seal_secrets
from node.registry.facts import Facts, RecordState, Values
from node.registry.rules import Plan
from node.store.database import Connection
from node.store.load import RecordRow
from node.store.prefixes import PrefixState
from node.store.records import is_secret
from node.store.writing import (
    Promise,
    WhoAndWhy,
    WriteLine,
    read_facts,
    read_replays,
    values_at,
)
from resolver.access import Canonical
from resolver.identifier import Identifier
from resolver.keys.seal import Seal
from resolver.registrar import Operation, Verdict, Write
from resolver.wire import Reference, ResponseCode, decode_values, encode_values

KEY_USED = "This Idempotency-Key was used for another write; choose a new one"


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for all writes of this node."""

    server_admins: tuple[Reference, ...]
    canonical: Canonical


@dataclass(frozen=True, slots=True)
class Intake:
    """A write on its way: secrets sealed, handle minted; `digest` tells it from another with the same idempotency key.

    Without such a key it is empty: nobody asks.
    """

    write: Write
    digest: bytes

    @property
    def key(self) -> bytes:
        """The canonical key of the record that is written."""
        return self.write.identifier.key

    @property
    def keys(self) -> tuple[bytes, ...]:
        """The records that deciding needs as a rule."""
        return self.key, self.write.identifier.prefix_key

    @property
    def replay_key(self) -> tuple[str, str] | None:
        """Caller and idempotency key, when there are both."""
        write = self.write
        if write.caller is None or not write.idempotency_key:
            return None
        return write.caller.name, write.idempotency_key


@dataclass(slots=True)
class BatchFacts:
    """What has been read for a batch of writes."""

    now: int
    records: dict[bytes, RecordState | None] = field(default_factory=dict)
    prefixes: dict[bytes, PrefixState] = field(default_factory=dict)
    kept: dict[bytes, PrefixState | None] = field(default_factory=dict)
    replays: dict[tuple[str, str], tuple[bytes, bytes]] = field(default_factory=dict)
    to_values: dict[tuple[bytes, int], Values | None] = field(default_factory=dict)

    def of(self, intake: Intake, policy: Policy) -> Facts:
        """Return the facts for one write."""
        write = intake.write
        return Facts(
            self.records,
            self.prefixes,
            self.now,
            policy.server_admins,
            policy.canonical,
            self.to_values.get((intake.key, write.to_version)),
            self.kept,
        )

    def for_reading(self, policy: Policy) -> Facts:
        """Return the facts for a question."""
        return Facts(self.records, self.prefixes, self.now, policy.server_admins, policy.canonical)

    def replay(self, intake: Intake) -> Verdict | None:
        """Return what an earlier write with the same idempotency key was told."""
        told = self.replays.get(intake.replay_key) if intake.replay_key else None
        if told is None:
            return None
        if told[0] != intake.digest:
            return Verdict(ResponseCode.PROTOCOL_ERROR, KEY_USED)
        return _verdict_from(told[1])


class Prepared(NamedTuple):
    """A plan, and what of it goes into the database."""

    plan: Plan
    verdict: Verdict
    line: WriteLine | None
    promise: Promise | None


def take_in(write: Write, seal: Seal) -> Intake:
    """Return the intake of a write."""
    digest = b""
    if write.caller is not None and write.idempotency_key:
        digest = _digest(write, seal_secrets(seal, b"", write.values))
    if any(is_secret(value) for value in write.values):
        sealed = seal_secrets(seal, write.identifier.key, write.values)
        write = replace(write, values=sealed)
    return Intake(write, digest)


def minted_name(start: Identifier, suffix: str) -> bytes:
    """Return the spelling of a minted handle: its start, or the prefix that a prefix handle names, and a suffix."""
    if start.is_prefix_handle:
        prefix = start.text.partition("/")[2] or start.text
        return f"{prefix}/{suffix}".encode()
    return f"{start.text}{suffix}".encode()


def repeatable_suffix(intake: Intake, secret: bytes) -> UUID | None:
    """Return the suffix of a handle that is minted with an idempotency key, None without one.

    It is the same wherever and whenever the write is sent again: two workers at once write one record, and the second
    finds it there.  Nobody can foresee it without the secret.
    """
    if intake.replay_key is None:
        return None
    parts = "\0".join(intake.replay_key).encode() + intake.digest
    return UUID(bytes=blake2b(parts, digest_size=16, key=secret).digest(), version=4)


def _digest(write: Write, values: Values) -> bytes:
    """Tell one write from another; a minted handle is not the same twice, so it has no part in it."""
    parts = (
        write.operation.value,
        (write.identifier.prefixes[0] if write.mint else write.identifier.key).hex(),
        encode_values([replace(value, timestamp=0) for value in values]).hex(),
        *(list(write.indexes), write.overwrite, write.mint, write.if_version, write.to_version),
    )
    return blake2b(orjson.dumps(parts), digest_size=32).digest()


async def read_batch(connection: Connection, intakes: Sequence[Intake], now: int) -> BatchFacts:
    """Return what these writes need as a rule.  Raises StoreUnavailable, StoreError."""
    facts = BatchFacts(now)
    names = {name for intake in intakes for name in intake.write.identifier.prefixes}
    await read_more(connection, facts, {key for intake in intakes for key in intake.keys}, names)
    asked = [intake.replay_key for intake in intakes if intake.replay_key]
    if asked:
        facts.replays = await read_replays(connection, asked)
    for intake in intakes:
        if intake.write.operation is Operation.REVERT:
            version = intake.write.to_version
            encoded = await values_at(connection, intake.key, version)
            values = decode_values(encoded) if encoded is not None else None
            facts.to_values[intake.key, version] = values
    return facts


async def read_more(
    connection: Connection,
    facts: BatchFacts,
    keys: Iterable[bytes],
    prefixes: Iterable[bytes] = (),
) -> None:
    """Read further records, and prefixes."""
    wanted = [key for key in keys if key not in facts.records]
    found = await read_facts(connection, wanted, list(prefixes))
    facts.records.update(dict.fromkeys(wanted))
    for key, stored in found.records.items():
        values = () if stored.is_gone else decode_values(stored.encoded)
        facts.records[key] = RecordState(stored.version, stored.is_gone, stored.handle, values)
    facts.prefixes.update(found.prefixes)


def prepare(intake: Intake, plan: Plan, facts: BatchFacts) -> Prepared:
    """Return what a plan stores.  Raises RecordTooLong."""
    write, state = intake.write, facts.records.get(intake.key)
    handle = state.handle if state is not None and not state.is_gone else b""
    line = None
    if plan.is_change:
        row = _row(write, plan, state, facts.now)
        handle = row.handle
        before = encode_values(state.values) if state is not None and not state.is_gone else None
        gone = _tombstone(write, facts.now) if plan.values is None else None
        line = WriteLine(row, plan.replaces, gone, who_and_why(write), before)
    verdict = plan.verdict._replace(handle=handle)
    return Prepared(plan, verdict, line, _promise(intake, plan, verdict))


def _row(write: Write, plan: Plan, state: RecordState | None, now: int) -> RecordRow:
    """Return the record's row: a record that is there keeps its spelling, a deleted one has no values."""
    row = encode_record(write.identifier, plan.values or ())
    if state is not None and not state.is_gone:
        row = row._replace(handle=state.handle)
    return row


def _tombstone(write: Write, now: int) -> bytes:
    return orjson.dumps({"at": now, "reason": write.reason})


def who_and_why(write: Write) -> WhoAndWhy:
    """Return what a version says of a write besides the values."""
    caller = write.caller
    name, means = (caller.name, caller.means) if caller else ("", "")
    return WhoAndWhy(write.operation.value, name, means, write.origin, write.reason)


def _promise(intake: Intake, plan: Plan, verdict: Verdict) -> Promise | None:
    if intake.replay_key is None:
        return None
    told = orjson.dumps(
        [verdict.code, verdict.message, verdict.created, verdict.handle.hex(), verdict.version]
    )
    return Promise(intake.key if plan.is_change else None, *intake.replay_key, intake.digest, told)


def _verdict_from(told: bytes) -> Verdict:
    code, message, created, handle, version = orjson.loads(told)
    return Verdict(
        ResponseCode(code), message, created, bytes.fromhex(handle), version, replayed=True
    )
