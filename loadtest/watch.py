"""Readers that hold one connection or socket each, ask on it without end, and notice every older or late answer.

What is watched is a `Subject`: an identifier whose answers carry a version, and the time at which each version was
committed.  Laws held to: on one connection no version is followed by an older one, and no answer is given that had been
replaced `limit` seconds before it was asked for.  While the database is away changes cannot be known: see `lateness`.
"""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter

from loadtest.replies import Inbox, read_frame, read_http
from loadtest.stand import Node
from node.counters import Counters, slot_path
from node.process.running import run_directory
from resolver.observe import RESOLUTIONS, Protocol
from resolver.wire import Envelope, Flag, Header, Message, Opcode, ResolutionRequest

PROTOCOLS = (Protocol.UDP, Protocol.TCP, Protocol.HTTP_JSON)
FOUND, NO_SUCH_HANDLE, BUSY, ELSEWHERE, REFERRED = 1, 100, 3, 301, 302
ANSWER_SECONDS = 10.0  # on a connection; longer than any wait of the node
DATAGRAM_SECONDS = 1.0  # then the question is asked again
DATAGRAM_ATTEMPTS = 4
MEET_ATTEMPTS = 200
AWAY_SECONDS = 0.5  # without a write of any writer: the database is away
TCP_DEPTH = 4  # questions under way on one TCP connection: answers must keep their order
_PLAIN, _TYPED, _OTHER_CASE, _AUTHORITATIVE = range(4)
_FORMS = (_PLAIN,) * 12 + (_TYPED, _OTHER_CASE, _OTHER_CASE, _AUTHORITATIVE)
_NUMBER = re.compile(rb"#(\d+)#")
_JSON_CODE = re.compile(rb'"responseCode":(\d+)')


@dataclass(slots=True, eq=False)
class Subject:
    """An identifier that is watched.

    `codes` says which version a response code stands for; None: the version is the number in the record.
    `commits[n]` is when version n was committed, on the clock of `perf_counter`.
    """

    handle: bytes
    codes: Mapping[int, int] | None = None
    commits: list[float] = field(default_factory=lambda: [float("-inf")])

    @property
    def newest(self) -> int:
        """The version that was committed last."""
        return len(self.commits) - 1

    def version(self, code: int, number: int) -> int | None:
        """Return the version that an answer shows; None when it is no right answer at any time."""
        if self.codes is None:
            return number if code == FOUND and number >= 0 else None
        return self.codes.get(code)


def note_commit(subjects: Sequence[Subject]) -> None:
    """Note that the next version of each has been committed by now."""
    now = perf_counter()
    for subject in subjects:
        subject.commits.append(now)


@dataclass
class Findings:
    """What all readers of a run found.

    `delays` are those from a commit to the first newer answer of each reader, its own turns included;
    `oldest_seconds` is how long after a commit somebody still asked and got the older answer.
    """

    limit_seconds: float
    oldest_seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    busy: Counter[str] = field(default_factory=Counter)
    unanswered: int = 0  # datagrams
    faults: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0  # that one answer took

    def summary(self) -> str:
        """Return all figures in one line."""
        ordered = sorted(self.delays) or [0.0]
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        return (
            f"{len(self.delays)} changes seen, after p50 {p50:.3f} s, p99 {p99:.3f} s, max {ordered[-1]:.3f} s;"
            f" no older answer to a question {self.oldest_seconds:.3f} s after a commit, or later;"
            f" {_told(self.answers)} answers, {_told(self.busy) or 'none'} busy,"
            f" {self.unanswered} datagrams asked again;"
            f" the slowest answer took {self.longest_seconds:.3f} s; {len(self.faults)} violations"
        )


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))


class Watch:
    """What the readers share: the subjects to ask for now, and what they found."""

    def __init__(
        self,
        limit_seconds: float,
        *,
        may_be_busy: bool = False,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        """`may_be_busy`: the database may be away for a while, so "busy" is a right answer."""
        self._clock = clock
        self.active: list[Subject] = []
        self.findings = Findings(limit_seconds)
        self.stop = asyncio.Event()
        self.may_be_busy = may_be_busy
        self._written_at = clock()
        self._back_at = float("-inf")

    def note_write(self) -> None:
        """Note that the database has taken a write by now: every worker can learn of changes again."""
        now = self._clock()
        if now - self._written_at > AWAY_SECONDS:
            self._back_at = now
        self._written_at = now

    def note_end(self) -> None:
        """Note that nothing more is written, though the database is there."""
        self.note_write()
        self._written_at = float("inf")

    def lateness(self, commit: float, sent: float) -> float:
        """Return how long before `sent` a change could be known that was committed then; negative: it could not.

        While the database is away nobody can know what it took just before: the time counts from when it is back.
        """
        if not self.may_be_busy:
            return sent - commit
        if sent - self._written_at > AWAY_SECONDS:
            return float("-inf")
        return sent - max(commit, self._back_at)


class Reader:
    """One connection or socket of one worker, and the newest version that it gave for each subject."""

    def __init__(self, watch: Watch, link: "Link", seed: int) -> None:
        self.name = f"{link.protocol}@{link.slot}"
        self.rounds = 0  # how often it has asked for everything
        self.seen: dict[Subject, int] = {}
        self._watch = watch
        self._link = link
        self._random = random.Random(seed)
        self._position = seed

    async def run(self) -> None:
        """Ask until told to stop."""
        link, findings = self._link, self._watch.findings
        while not self._watch.stop.is_set():
            asked = [self._next() for _ in range(link.depth)]
            requests = [
                _request(link.protocol, subject.handle, self._random.choice(_FORMS))
                for subject in asked
            ]
            sent = perf_counter()
            try:
                answers = await link.ask(requests)
            except TimeoutError:
                if link.protocol is not Protocol.UDP:
                    findings.faults.append(f"{self.name}: no answer in {ANSWER_SECONDS} s")
                findings.unanswered += 1
                continue
            except (OSError, EOFError) as error:
                findings.faults.append(f"{self.name}: the connection was lost: {error!r}")
                return
            for subject, answer in zip(asked, answers, strict=True):
                self._judge(subject, sent, answer)

    def _next(self) -> Subject:
        active = self._watch.active
        self._position += 1
        if self._position >= len(active):
            self._position = 0
            self.rounds += 1
        return active[self._position]

    def _judge(self, subject: Subject, sent: float, answer: bytes) -> None:
        now, findings = perf_counter(), self._watch.findings
        findings.answers[self._link.protocol.value] += 1
        findings.longest_seconds = max(findings.longest_seconds, now - sent)
        code, number = _read(self._link.protocol, answer)
        if code == BUSY and self._watch.may_be_busy:
            findings.busy[self._link.protocol.value] += 1
            return
        version = subject.version(code, number)
        if version is None:
            findings.faults.append(f"{self.name}: {subject.handle!r} got {answer!r}")
            return
        before = self.seen.setdefault(subject, version)
        if version < before:
            findings.faults.append(
                f"{self.name}: {subject.handle!r} got version {version} after {before}"
            )
        self._note_age(subject, version, sent)
        for newer in range(before + 1, version + 1):
            # An answer may be here before the writer has written down when it committed.
            commit = subject.commits[newer] if newer <= subject.newest else now
            findings.delays.append(max(0.0, now - commit))
        self.seen[subject] = max(before, version)

    def _note_age(self, subject: Subject, version: int, sent: float) -> None:
        if version >= subject.newest:
            return
        findings = self._watch.findings
        age = self._watch.lateness(subject.commits[version + 1], sent)
        findings.oldest_seconds = max(findings.oldest_seconds, age)
        if age > findings.limit_seconds:
            findings.faults.append(
                f"{self.name}: asked {age:.3f} s after version {version + 1} of {subject.handle!r} was committed,"
                f" got version {version}"
            )


@dataclass
class Link:
    """A way to one worker: `ask` sends requests and returns the answers in order.  Raises OSError, TimeoutError."""

    protocol: Protocol
    depth: int
    ask: Callable[[Sequence[bytes]], Awaitable[list[bytes]]]
    close: Callable[[], object]
    slot: int = -1

    async def look_up(self, handle: bytes) -> tuple[int, int]:
        """Ask for one handle; return the response code, and the number in its record (-1: none).

        A datagram is sent again while nothing comes.  Raises OSError, TimeoutError.
        """
        request = _request(self.protocol, handle, _PLAIN)
        for _ in range(DATAGRAM_ATTEMPTS if self.protocol is Protocol.UDP else 0):
            with suppress(TimeoutError):
                return _read(self.protocol, (await self.ask([request]))[0])
        return _read(self.protocol, (await self.ask([request]))[0])

    async def finds(self, subject: Subject) -> None:
        """Wait until the worker behind this link knows the subject.  Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while (await self.look_up(subject.handle))[0] != FOUND:  # noqa: ASYNC110  it asks, each time
                await asyncio.sleep(0.02)


async def meet_all_workers(node: Node, each: int) -> list[Link]:
    """Return `each` links of each protocol to every worker; which one took a question is seen by its counters."""
    slots = _open_counters(node)
    try:
        return [link for protocol in PROTOCOLS for link in await _meet(node, protocol, slots, each)]
    finally:
        for counters in slots:
            counters.close()


async def _meet(node: Node, protocol: Protocol, slots: Sequence[Counters], each: int) -> list[Link]:
    met: list[Link] = []
    for _ in range(MEET_ATTEMPTS):
        link = await _open_link(node, protocol)
        link.slot = await _slot_of(link, slots)
        if [other.slot for other in met].count(link.slot) >= each:
            link.close()
            continue
        met.append(link)
        if len(met) == each * len(slots):
            return met
    raise TimeoutError(f"{protocol}: not all workers were met by {MEET_ATTEMPTS} connections")


async def _slot_of(link: Link, slots: Sequence[Counters]) -> int:
    before = [_counted(counters, link.protocol) for counters in slots]
    await _ask_who(link)
    for _ in range(200):  # it counts just after it answers
        for slot, counters in enumerate(slots):
            if _counted(counters, link.protocol) != before[slot]:
                return slot
        await asyncio.sleep(0.005)
    raise TimeoutError("nobody counted the question")


async def _ask_who(link: Link) -> None:
    """Ask for something that nobody has; a datagram may be lost while a worker comes back."""
    for attempt in range(1, DATAGRAM_ATTEMPTS + 1):
        try:
            await link.ask([_request(link.protocol, b"999.999/who", _PLAIN)])
        except TimeoutError:
            if link.protocol is not Protocol.UDP or attempt == DATAGRAM_ATTEMPTS:
                raise
        else:
            return


def _open_counters(node: Node) -> list[Counters]:
    directory = run_directory(Path(node.settings.data_dir))
    return [Counters.open(slot_path(directory, slot)) for slot in range(node.settings.workers)]


def _counted(counters: Counters, protocol: Protocol) -> int:
    return sum(
        counters.cells[cell] for cell, labels in enumerate(RESOLUTIONS) if labels[0] is protocol
    )


async def _open_link(node: Node, protocol: Protocol) -> Link:
    if protocol is Protocol.UDP:
        return await _open_datagrams(node)
    address = node.native if protocol is Protocol.TCP else node.http
    read = read_frame if protocol is Protocol.TCP else read_http
    reader, writer = await asyncio.open_connection(*address)

    async def ask(requests: Sequence[bytes]) -> list[bytes]:
        writer.write(b"".join(requests))
        async with asyncio.timeout(ANSWER_SECONDS):
            return [await read(reader) for _ in requests]

    return Link(protocol, TCP_DEPTH if protocol is Protocol.TCP else 1, ask, writer.close)


async def _open_datagrams(node: Node) -> Link:
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        partial(Inbox, answers), remote_addr=node.native
    )
    number = 0

    async def ask(requests: Sequence[bytes]) -> list[bytes]:
        nonlocal number
        number += 1
        request_id = number.to_bytes(4, "big")
        transport.sendto(requests[0][:8] + request_id + requests[0][12:])
        async with asyncio.timeout(DATAGRAM_SECONDS):
            while (answer := await answers.get())[8:12] != request_id:
                pass
        return [answer]

    return Link(Protocol.UDP, 1, ask, transport.close)


def _request(protocol: Protocol, handle: bytes, form: int) -> bytes:
    name = handle.upper() if form == _OTHER_CASE else handle
    if protocol is Protocol.HTTP_JSON:
        query = {_TYPED: b"?type=URL", _AUTHORITATIVE: b"?auth"}.get(form, b"")
        return b"GET /api/handles/%b%b HTTP/1.1\r\nHost: idnode.test\r\n\r\n" % (name, query)
    flags = Flag.PUBLIC_ONLY | (Flag.AUTHORITATIVE if form == _AUTHORITATIVE else Flag(0))
    body = ResolutionRequest(name, (), (b"URL",) if form == _TYPED else ()).encode()
    envelope = Envelope(2, 11, 2, 11, request_id=1)
    return Message(envelope, Header(Opcode.RESOLUTION, flags=int(flags)), body).encode()


def _read(protocol: Protocol, answer: bytes) -> tuple[int, int]:
    """Return the response code of an answer, and the number in its record; -1 where there is none."""
    found = _NUMBER.search(answer)
    number = int(found[1]) if found else -1
    if protocol is not Protocol.HTTP_JSON:
        return int.from_bytes(answer[24:28], "big"), number
    code = _JSON_CODE.search(answer)
    return (int(code[1]) if code else -1), number


async def end(links: Sequence[Link]) -> None:
    """Close all links."""
    for link in links:
        with suppress(OSError):
            link.close()
    await asyncio.sleep(0)  # transports close in the next turn of the loop
