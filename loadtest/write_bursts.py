"""Bursts: writers over HTTP and over native sessions, each with records of its own, and all with some in common.

Over HTTP a write is sent again, with its Idempotency-Key, until there is a verdict, so each is done exactly once.  A
native write that finds no answer may have been done; its writer then replaces the whole record.  Whoever owns a record
knows what it holds, so there a refusal is a fault; records in common change under everybody.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from loadtest.administrators import ADMIN, HOME
from loadtest.http_writes import (
    PAUSE_SECONDS,
    VERDICT_SECONDS,
    HttpConnection,
    ask_until_told,
    delete,
    indexes,
    put,
)
from loadtest.journal import Entry, Kind, Outcome, State
from loadtest.native_session import (
    NativeConnection,
    SessionRefused,
    indexes_body,
    name_body,
    values_body,
)
from loadtest.victims import Running
from resolver.wire import Flag, Opcode, ResponseCode

THINK_SECONDS = 0.02  # at most, between two writes
OWN_INDEXES = range(1, 7)
SHARED = 2  # records that all write
SHARED_SHARE = 0.25  # of a writer's writes
BURSTS_A_SHARED = 10  # then others, so that histories stay short
OWN_ROUND = 6  # bursts after which a writer comes back to its first record
_OPCODES = {
    Kind.CREATE: Opcode.CREATE_HANDLE,
    Kind.REPLACE: Opcode.CREATE_HANDLE,
    Kind.ADD: Opcode.ADD_VALUE,
    Kind.MODIFY: Opcode.MODIFY_VALUE,
    Kind.REMOVE: Opcode.REMOVE_VALUE,
    Kind.DELETE: Opcode.DELETE_HANDLE,
}


@dataclass
class Ledger:
    """The journals of all records by handle and writer, and what it took to fill them."""

    journals: dict[str, dict[str, list[Entry]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_seconds: float = 0.0  # from the first sending of a write to its verdict
    last_verdict: float = 0.0  # on the clock of `time.monotonic`

    def note(self, entry: Entry, began: float) -> None:
        """Take down that a write has come to its end."""
        self.last_verdict = time.monotonic()
        self.slowest_seconds = max(self.slowest_seconds, self.last_verdict - began)
        self.counts[entry.outcome] += 1


class Writer(ABC):
    """Writes one after the other; `send` is the way, which returns when the entry says what came of it."""

    def __init__(self, name: str, ledger: Ledger, seed: int) -> None:
        self.name = name
        self._ledger = ledger
        self._dice = Random(f"{seed} {name}")
        self._number = 0
        self._known: dict[str, State] = {}  # of own records, while it is known
        self._added: list[tuple[str, int]] = []  # values in records in common that are ours

    async def burst(self, number: int, writes: int) -> set[str]:
        """Write so many times, and return the handles of the records."""
        own = f"{HOME}/own-{self.name}-{number % OWN_ROUND}"
        common = [f"{HOME}/common-{number // BURSTS_A_SHARED}-{each}" for each in range(SHARED)]
        for _ in range(writes):
            if self._dice.random() < SHARED_SHARE:
                await self._write_common(self._dice.choice(common))
            else:
                await self._write_own(own)
            await asyncio.sleep(self._dice.uniform(0, THINK_SECONDS))
        return {own, *common}

    def close(self) -> None:  # noqa: B027  most hold none
        """Let go of connections."""

    @abstractmethod
    async def send(self, handle: str, entry: Entry) -> None:
        """Ask for a write; set the entry's outcome, and version if it is told."""

    async def _carry_out(self, handle: str, entry: Entry) -> None:
        self._ledger.journals[handle][self.name].append(entry)
        began = time.monotonic()
        await self.send(handle, entry)
        self._ledger.note(entry, began)

    async def _write_own(self, handle: str) -> None:
        is_known = handle in self._known or not self._ledger.journals[handle][self.name]
        state = self._known.get(handle)
        entry = self._choose(state) if is_known else Entry(Kind.REPLACE, self._pairs((1, 2)))
        await self._carry_out(handle, entry)
        if entry.outcome is Outcome.UNKNOWN:
            self._known.pop(handle, None)
        elif entry.outcome is Outcome.REFUSED:
            self._ledger.faults.append(f"{self.name}: {handle} is {state}, and was refused {entry}")
        else:
            self._known[handle] = _after(entry, state)

    def _choose(self, state: State) -> Entry:
        """Choose a write that must succeed."""
        if state is None:
            return Entry(Kind.CREATE, self._pairs(self._dice.sample(OWN_INDEXES, 2)))
        free, there = sorted(set(OWN_INDEXES) - state.keys()), sorted(state)
        draw = self._dice.random()
        if draw < 0.3 and free:
            return Entry(Kind.ADD, self._pairs(free[:1]))
        if draw < 0.55 and len(there) > 1:
            return Entry(Kind.REMOVE, numbers=(self._dice.choice(there),))
        if draw < 0.75 and there:
            return Entry(Kind.MODIFY, self._pairs(there[:2]))
        if draw < 0.88:
            return Entry(Kind.DELETE)
        return Entry(Kind.REPLACE, self._pairs(self._dice.sample(OWN_INDEXES, 2)))

    async def _write_common(self, handle: str) -> None:
        entry = self._choose_common(handle)
        await self._carry_out(handle, entry)
        if entry.kind is Kind.ADD and entry.outcome is Outcome.ACKNOWLEDGED:
            self._added.append((handle, entry.pairs[0][0]))

    def _choose_common(self, handle: str) -> Entry:
        """Choose a write; the value that is removed may be gone with the rest of the record by now."""
        draw = self._dice.random()
        ours = [each for each in self._added if each[0] == handle]
        if draw < 0.3 and ours:
            self._added.remove(ours[0])
            return Entry(Kind.REMOVE, numbers=(ours[0][1],))
        if draw < 0.7:
            return Entry(Kind.REPLACE, self._pairs((1, 2)))
        return Entry(Kind.ADD, self._pairs((1_000 + self._dice.randrange(1 << 30),)))

    def _pairs(self, numbers: list[int] | tuple[int, ...]) -> tuple[tuple[int, str], ...]:
        self._number += 1
        return tuple((index, f"{self.name}.{self._number}") for index in numbers)


def _after(entry: Entry, before: State) -> State:
    match entry.kind:
        case Kind.DELETE:
            return None
        case Kind.REMOVE:
            return {
                index: text for index, text in (before or {}).items() if index not in entry.numbers
            }
        case Kind.CREATE | Kind.REPLACE:
            return dict(entry.pairs)
    return {**(before or {}), **dict(entry.pairs)}


class HttpWriter(Writer):
    """Writes over a kept-open connection, each write with a key, sent until there is a verdict."""

    def __init__(self, name: str, ledger: Ledger, seed: int, running: Running) -> None:
        super().__init__(name, ledger, seed)
        self._running = running
        self._connection = HttpConnection()
        self._keys = Random(f"keys {seed} {name}")

    def close(self) -> None:
        """See `Writer`."""
        self._connection.close()

    async def send(self, handle: str, entry: Entry) -> None:
        """See `Writer`."""
        key = f"Idempotency-Key: {self._keys.randbytes(12).hex()}"
        request = _request(handle, entry, ADMIN.header, key)
        counts = self._ledger.counts
        said = await ask_until_told(
            self._connection, lambda: self._running.node.http, request, counts
        )
        if said is None:
            self._ledger.faults.append(f"{self.name}: no verdict in {VERDICT_SECONDS} s: {entry}")
            return
        counts["replayed"] += said.is_replayed
        is_done = said.code == ResponseCode.SUCCESS and said.status in (200, 201)
        entry.outcome = Outcome.ACKNOWLEDGED if is_done else Outcome.REFUSED
        entry.version = said.version if is_done else 0
        if said.status >= 500 or said.code in _NEVER:
            self._ledger.faults.append(f"{self.name}: {said.whole!r} to {request!r}")


class NativeWriter(Writer):
    """Writes in a session over TCP; a write without an answer is not sent again."""

    def __init__(self, name: str, ledger: Ledger, seed: int, running: Running) -> None:
        super().__init__(name, ledger, seed)
        self._running = running
        self._connection: NativeConnection | None = None

    def close(self) -> None:
        """See `Writer`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def send(self, handle: str, entry: Entry) -> None:
        """See `Writer`."""
        connection = await self._connected()
        if connection is None:
            self._ledger.faults.append(f"{self.name}: no session in {VERDICT_SECONDS} s")
            return
        flags = int(Flag.OVERWRITE) if entry.kind is Kind.REPLACE else 0
        try:
            code = await connection.ask(_OPCODES[entry.kind], _body(handle, entry), flags)
        except (OSError, EOFError, TimeoutError):
            self.close()
            return
        if code == ResponseCode.SUCCESS:
            entry.outcome = Outcome.ACKNOWLEDGED
        elif code != ResponseCode.SERVER_BUSY:
            entry.outcome = Outcome.REFUSED
        if code in _NEVER:
            self._ledger.faults.append(f"{self.name}: code {code} to {entry}")

    async def _connected(self) -> NativeConnection | None:
        deadline = time.monotonic() + VERDICT_SECONDS
        while self._connection is None and time.monotonic() < deadline:
            try:
                self._connection = await NativeConnection.open(self._running.node.native, ADMIN)
            except (OSError, EOFError, TimeoutError, SessionRefused):
                self._ledger.counts["no session"] += 1
                await asyncio.sleep(PAUSE_SECONDS)
        return self._connection


_NEVER = frozenset(
    {
        ResponseCode.ERROR,
        ResponseCode.PROTOCOL_ERROR,
        ResponseCode.SERVER_NOT_RESPONSIBLE,
        ResponseCode.NOT_ADMINISTRATOR,
        ResponseCode.AUTHENTICATION_NEEDED,
        ResponseCode.AUTHENTICATION_FAILED,
    }
)
"""What an administrator with a right key is never told, whatever was killed."""


def _request(handle: str, entry: Entry, *headers: str) -> bytes:
    many = "?index=various&overwrite="
    match entry.kind:
        case Kind.DELETE:
            return delete(handle, *headers)
        case Kind.REMOVE:
            return delete(handle, *headers, query=indexes(entry.numbers))
        case Kind.CREATE:
            return put(handle, entry.pairs, *headers, query="?overwrite=false")
        case Kind.REPLACE:
            return put(handle, entry.pairs, *headers)
    overwrite = "true" if entry.kind is Kind.MODIFY else "false"
    return put(handle, entry.pairs, *headers, query=many + overwrite)


def _body(handle: str, entry: Entry) -> bytes:
    make: dict[Kind, Callable[[], bytes]] = {
        Kind.DELETE: lambda: name_body(handle),
        Kind.REMOVE: lambda: indexes_body(handle, entry.numbers),
    }
    return make.get(entry.kind, lambda: values_body(handle, entry.pairs))()
