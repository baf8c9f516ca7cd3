"""Cosigning: once a minute the newest checkpoint goes to every witness, and with a quorum it becomes the beacon.

Laws.  The head of a round is chosen once and sent to all, so that their cosignatures meet under one text.  Each witness
has a task and a pace of its own: one that is slow, or fails, never delays another.  A refusal outlives a restart: only
a person, who removes the file, lets cosigning go on.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import SystemRandom
from time import time

import httpx

from node.ledger.agreement import Disagreement
from node.ledger.checkpoint import Checkpoint
from node.ledger.heads import Beacon, HeadFiles
from node.ledger.keys import NoteError
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import Note, Signature, cosigned_at
from node.ledger.quorum import Policy, Witness
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.standing import Standing
from node.ledger.tlog import consistency_proof
from node.ledger.witness import Clock, WitnessClient, WitnessFailed, WitnessRefused
from node.store.database import StoreError, StoreUnavailable
from node.store.ledger import Cosignature
from node.together import first_of
from resolver.client.handshakes import HandshakeTransport
from resolver.observe import Event, Tally

ROUND_SECONDS = 60.0
ATTEMPT_SECONDS = 10.0  # for one answer of a witness, connecting included
FIRST_PAUSE_SECONDS = 1.0  # before a witness that failed is asked again; doubled each time
LONGEST_PAUSE_SECONDS = 60.0

KeepRows = Callable[[Sequence[Cosignature]], Awaitable[None]]
"""Store witnesses' lines in the database; may raise StoreError or StoreUnavailable."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Round:
    """A head that is being cosigned, and the lines that came for it."""

    checkpoint: Checkpoint
    note: Note
    cosigners: set[str] = field(default_factory=set)
    is_met: bool = False


class Cosigning:
    """The witnesses of one log.  `keep_rows` stores what they sign; `clock` gives POSIX seconds."""

    def __init__(
        self,
        files: LogFiles,
        policy: Policy,
        tally: Tally,
        keep_rows: KeepRows,
        *,
        tls: ssl.SSLContext | None = None,
        clock: Clock = time,
        round_seconds: float = ROUND_SECONDS,
        attempt_seconds: float = ATTEMPT_SECONDS,
        first_pause_seconds: float = FIRST_PAUSE_SECONDS,
    ) -> None:
        """Certificates of witnesses are checked with `tls`, by default against those that the machine trusts."""
        self._files = files
        self._policy = policy
        self._tally = tally
        self._keep_rows = keep_rows
        self._clock = clock
        self._round_seconds = round_seconds
        self._attempt_seconds = attempt_seconds
        self._first_pause = first_pause_seconds
        transport = HandshakeTransport(verify=tls or ssl.create_default_context(), trust_env=False)
        self._http = httpx.AsyncClient(
            transport=transport, trust_env=False, timeout=attempt_seconds
        )
        self._heads = HeadFiles(files.directory)
        beacon = _beacon_of(self._heads)
        self._clients = [
            WitnessClient(each, self._http, clock, _known_to(each, beacon))
            for each in policy.witnesses
            if each.url
        ]
        self._asked = asyncio.Event()
        self._wakes = {client.witness.name: asyncio.Event() for client in self._clients}
        self._round: _Round | None = None
        self._writing = (
            asyncio.Lock()
        )  # guards the files of heads, and what the standing says of them
        self._unwritten: tuple[str, ...] = ()  # refusals that the disk did not take
        self.standing = Standing(
            size=beacon.size if beacon else 0,
            met_at=beacon.met_at if beacon else clock(),
            refusals=self._heads.refusals(),
        )

    async def run(self) -> None:
        """Have heads cosigned until cancelled."""
        await first_of(self._begin_rounds(), *map(self._ask_for_ever, self._clients))

    async def _begin_rounds(self) -> None:
        while True:
            await self._begin_round()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._round_seconds):
                    await self._asked.wait()
            self._asked.clear()

    def ask_now(self) -> None:
        """Begin a round without waiting for the minute."""
        self._asked.set()

    def check(self) -> None:
        """Raise Disagreement while a witness refuses: what is signed from now on only makes it worse."""
        if self.standing.refusals:
            raise Disagreement("; ".join(self.standing.refusals))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def witnessed_size(self, note: Note) -> int:
        """Return the largest size that a witness has cosigned, 0 for none; before anything is signed at a start.

        `note` is the newest checkpoint that is known here, if need be of the empty tree.  A witness that cannot be
        asked is passed over: it is asked again in the first round.

        Raises Disagreement when one has seen another root, or has refused before.
        """
        self.check()
        checkpoint = Checkpoint.parse(note.text)
        asked = [self._size_seen(client, note, checkpoint) for client in self._clients]
        return max(await asyncio.gather(*asked), default=0)

    async def _size_seen(self, client: WitnessClient, note: Note, checkpoint: Checkpoint) -> int:
        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await client.size_seen(note, checkpoint)
        except WitnessRefused as error:
            self._refused(client.witness, note, error)
            raise Disagreement(
                f"witness {client.witness.name} has seen another tree of {checkpoint.size} leaves ({error}): two"
                " histories were signed. Find out who else has the log's key, or which copy was restored"
            ) from error
        except (WitnessFailed, TimeoutError) as error:
            told = {"witness": client.witness.name, "reason": str(error) or "no answer in time"}
            log.warning("a witness cannot be asked", extra=told)
            return 0

    async def _begin_round(self) -> None:
        """Choose the head, and wake who is to cosign it."""
        refusals = self._unwritten + self._heads.refusals()  # a glance at a directory
        self.standing = self.standing._replace(refusals=refusals)
        if refusals:
            log.error("heads are not cosigned", extra={"reason": "; ".join(refusals)})
            return
        try:
            note = await asyncio.to_thread(self._files.published)
        except (NoteError, OSError) as error:
            log.error("the checkpoint cannot be read", extra={"reason": str(error)})
            return
        if note is None:
            return
        self._round = _Round(Checkpoint.parse(note.text), note)
        for wake in self._wakes.values():
            wake.set()
        await self._settle(self._round)  # a policy may ask for nobody

    async def _ask_for_ever(self, client: WitnessClient) -> None:
        """Ask one witness, each time for the round that is the newest then."""
        wake, jitter = self._wakes[client.witness.name], SystemRandom().random
        pause = self._first_pause
        while True:
            await wake.wait()
            wake.clear()
            failure = await self._ask(client)
            if failure is None:
                pause = self._first_pause
                continue
            wished = min(failure.retry_after, LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(max(pause * (1 - jitter() / 2), wished))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            wake.set()

    async def _ask(self, client: WitnessClient) -> WitnessFailed | None:
        current = self._round
        if current is None or self.standing.refusals:
            return None
        try:
            async with asyncio.timeout(self._attempt_seconds):
                line = await client.cosign(
                    current.note, current.checkpoint, partial(self._prove, current.checkpoint.size)
                )
        except WitnessRefused as error:
            self._refused(client.witness, current.note, error)
            return None
        except (WitnessFailed, TimeoutError, LogDamaged, OSError, ValueError) as error:
            self._failed(client.witness, error)
            return error if isinstance(error, WitnessFailed) else WitnessFailed(str(error))
        await self._take(client.witness, current, line)
        return None

    def _prove(self, size: int, old: int) -> list[bytes]:
        """A few tiles of 8 KB: not worth a thread."""
        return consistency_proof(old, size, self._files.hashes(size))

    def _failed(self, witness: Witness, error: Exception) -> None:
        self._tally.happened(Event.WITNESS_FAILED)
        told = {"witness": witness.name, "reason": str(error) or "no answer in time"}
        log.warning("a witness did not cosign", extra=told)

    def _refused(self, witness: Witness, note: Note, error: WitnessRefused) -> None:
        """Stop: nothing counts as cosigned from here on."""
        self._tally.happened(Event.WITNESS_REFUSED)
        path = self._heads.refusal_path(witness.key)
        sentence = (
            f"witness {witness.name} has seen another history than this log's ({error}). Stop writing, keep all files,"
            f" find out what was restored or who else signed; remove {path} when that is settled"
        )
        log.error("a witness refuses this log", extra={"cause": error.cause, "reason": sentence})
        try:  # at once: who sees the standing may end this task before it could go on
            self._heads.refuse(witness.key, error.cause, sentence, note, int(self._clock()))
        except OSError:
            self._unwritten += (sentence,)
        self.standing = self.standing._replace(refusals=(*self.standing.refusals, sentence))

    async def _take(self, witness: Witness, current: _Round, line: Signature) -> None:
        current.note = current.note.signed(line)
        current.cosigners.add(witness.name)
        size, seconds = current.checkpoint.size, cosigned_at(line.data)
        try:
            await self._keep_rows([Cosignature(size, witness.name, seconds, line.line)])
        except (
            StoreError,
            StoreUnavailable,
        ) as error:  # the files have it, and rows are made again from them
            log.warning("a cosignature is not in the database", extra={"reason": str(error)})
        await self._settle(current)

    async def _settle(self, current: _Round) -> None:
        """With a quorum the head is kept, and is the beacon."""
        if self.standing.refusals or not self._policy.is_quorum(current.cosigners):
            return
        if not self._policy.is_met(current.note, CHECKS_WITH_SM2):
            log.error("the published checkpoint is not signed by a log of the policy")
            return
        async with self._writing:
            size = current.checkpoint.size
            is_newest = size >= self.standing.size
            archive = partial(self._heads.archive, current.note, is_newest=is_newest)
            try:
                await asyncio.to_thread(archive)
            except (NoteError, OSError) as error:
                log.error("a cosigned head cannot be kept", extra={"reason": str(error)})
                return
            if is_newest and not current.is_met:
                self._tally.happened(Event.HEAD_COSIGNED)
                self.standing = self.standing._replace(size=size, met_at=self._clock())
            current.is_met = True


def _beacon_of(heads: HeadFiles) -> Beacon | None:
    try:
        return heads.beacon()
    except NoteError as error:
        log.warning("the beacon cannot be read", extra={"reason": str(error)})
        return None


def _known_to(witness: Witness, beacon: Beacon | None) -> int:
    """Return the size that a witness has cosigned, as far as the beacon tells."""
    return beacon.size if beacon is not None and beacon.has_line_of(witness.key) else 0
