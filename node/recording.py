"""Recording: what the front ends of one worker record their answers with: its lane of the audit ledger."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from typing import NamedTuple

from node.errors import Kind, RegistryError
from node.ledger.agents import AgentNotes
from node.ledger.announced import FILE, Announced, AnnouncedFile, AnnouncedNumbers, read_announced
from node.ledger.announcer import Terms
from node.ledger.classes import Robots, networks
from node.ledger.counting import Counter
from node.ledger.headers import of_block, of_pairs
from node.ledger.heads import NewestHead
from node.ledger.lane import Lane, NotCounted
from node.ledger.lanefile import Durability
from node.ledger.laneterms import LaneTerms
from node.ledger.logfiles import KEYS, LANES, LogFiles
from node.ledger.monthkeys import MonthKeys
from node.ledger.parties import outcome
from node.ledger.receipt import Name
from node.ledger.record import Proto, RecordFlag
from node.ledger.role import DIRECTORY, Conduct
from node.ledger.sources import SourceNotes
from node.ledger.tags import DayKeys, short_sha256
from node.settings import Settings
from resolver.answer import Status, Tier
from resolver.identifier import Scheme
from resolver.keys.files import write_unless_there
from resolver.observe import RESOLUTIONS, Event, Protocol
from resolver.recorder import Answered, Party, Prefixes, Subject
from resolver.render import CODES

ANNOUNCED_SECONDS = 20.0  # a new node's first policy is in the log long before
_POLL_SECONDS = 0.05
_ORIGIN_FILE = "origin"
_NOT_ANNOUNCED = (
    "The audit ledger has not begun: the keeper has not written into its log how answers are counted. "
    "The keeper's lines above say why; IDNODE_LEDGER=false runs the node without a ledger."
)

PROTOS = {
    Protocol.HTTP_JSON: Proto.HTTP_JSON,
    Protocol.HTTP_PAGE: Proto.HTTP_PAGE,
    Protocol.UDP: Proto.UDP,
    Protocol.TCP: Proto.TCP,
    Protocol.NATIVE_HTTP: Proto.NATIVE_HTTP,
    Protocol.BATCH: Proto.BATCH,
}
SUCCESSES = frozenset({Status.FOUND, Status.SERVICE_REFERRAL, Status.PREFIX_REFERRAL})
"""A record was given, or it was said where it is: the two things a secondary node is there for."""


def origin_of(settings: Settings) -> str:
    """Return the name of this node's log: that of the settings, or one made at the first start.

    It belongs to the data directory, since two logs never have one name.  Raises OSError.
    """
    if settings.ledger_origin:
        return settings.ledger_origin
    path = settings.data_dir / DIRECTORY / _ORIGIN_FILE
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        write_unless_there(path, f"idnode-{token_hex(6)}.invalid\n".encode())
    return path.read_text("ascii").strip()


def robots() -> Robots:
    """Return the list of robots that this version has."""
    return Robots.parse((files("node.ledger") / "robots.json").read_bytes())


class Notes(NamedTuple):
    """What a worker notes beside its lane, for the keeper to take."""

    sources: SourceNotes
    agents: AgentNotes


class Recording:
    """Implements `resolver.recorder.Recorder` over one lane; `open` makes it."""

    def __init__(
        self, directory: Path, counter: Counter, numbers: AnnouncedNumbers, notes: Notes
    ) -> None:
        self._directory = directory
        self._notes = notes
        self._counter = counter
        self._numbers = numbers
        self._lane, self._nonces = counter.lane, counter.nonces
        self.http: Callable[[Party, Subject, int, int], int] = counter.lane.append
        self.natives: Callable[[Sequence[Answered], int], int] = counter.lane.append_all
        self.http_all = self.natives
        self._announced = AnnouncedFile(directory, robots())
        # What `numbers` have was read before the lane was taken: the first tick reads it again.
        self._told: _Mark | None = None
        self._head = NewestHead(LogFiles(directory))
        self._outcomes = tuple(_outcome(labels, is_sent=False) for labels in RESOLUTIONS)
        self._named = tuple(_outcome(labels, is_sent=True) for labels in RESOLUTIONS)
        self.is_strict = counter.lane.terms.durability is Durability.STRICT

    @property
    def numbers(self) -> tuple[int, int]:
        """Epoch and number of the newest record."""
        return self._counter.lane.epoch, self._counter.lane.seq

    @property
    def campaign(self) -> int:
        """Number of the newest campaign that this worker has heard of, open or not; 0 before the first."""
        policies = self._numbers.announced.policies
        return max((each.no for policy in policies for each in policy.campaigns), default=0)

    def sender(self, address: str) -> Party:
        """See `Recorder`."""
        return self._counter.asker(address), None, self._named

    def subject(self, key: bytes, prefixes: Prefixes = ()) -> Subject:
        """See `Recorder`."""
        return self._counter.subject(key, prefixes)

    def native(self, party: Party, asked: bytes, subject: Subject, cell: int, now_ns: int) -> int:
        """See `Recorder`."""
        asker, _, outcomes = party
        requester = asker, short_sha256(asked).digest(), outcomes
        return self._lane.append(requester, subject, cell, now_ns)

    def party(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> Party:
        """See `Recorder`."""
        asker, nonce = self._counter.http_asker(peer, of_pairs(headers))
        return asker, nonce, self._outcomes if nonce is None else self._named

    def party_of_block(self, peer: str, block: bytes) -> Party:
        """See `Recorder`."""
        asker, nonce = self._counter.http_asker(peer, of_block(block))
        return asker, nonce, self._outcomes if nonce is None else self._named

    def once(self, party: Party) -> Party:
        """See `Recorder`."""
        asker, nonce, outcomes = party
        return asker, next(self._nonces) if nonce is None else nonce, outcomes

    def receipt(self, party: Party, number: int) -> bytes:
        """See `Recorder`."""
        lane, nonce = self._counter.lane, int.from_bytes(party[1][:4], "little")
        name = Name(lane.lane, lane.epoch, number, nonce)
        return f"{lane.terms.origin};{name};{self._head.mark()}".encode()

    async def committed(self, number: int) -> bool:
        """See `Recorder`."""
        try:
            await self._counter.committed(number)
        except NotCounted:
            return False
        return True

    def tick(self) -> None:
        """Once a second: go by what has been announced since."""
        now_ns = time.time_ns()
        self._counter.tick(now_ns)
        if self._notes.sources.is_due(now_ns):
            self._notes.sources.write(now_ns)
        self._notes.agents.write()
        told = _mark(self._directory)
        if told != self._told:
            announced = self._announced.read()
            self._numbers.announced, self._told = announced, told
            self._counter.adopt(announced.policies)

    def close(self) -> None:
        """Close the lane."""
        self._notes.sources.write(time.time_ns())
        self._notes.agents.write()
        self._counter.close()


def conduct_of(settings: Settings, origin: str) -> Conduct:
    """Return what the settings say of the ledger.  Raises RegistryError: the file of the witnesses cannot be read."""
    quorum = ""
    if settings.ledger_witnesses is not None:
        try:
            quorum = settings.ledger_witnesses.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RegistryError(
                Kind.MISCONFIGURED,
                f"Cannot read the witnesses of the ledger in {settings.ledger_witnesses}: {error}.",
            ) from error
    own = networks(settings.own_networks)
    terms = Terms(gethostname(), quorum, own, settings.count_loopback, robots())
    directory = settings.data_dir / DIRECTORY
    return Conduct(directory, origin, terms, settings.ledger_sm2)


async def open_recording(
    settings: Settings,
    origin: str,
    slot: int,
    is_homed: Callable[[bytes], bool],
    happened: Callable[[Event], None],
    stop: asyncio.Event,
) -> Recording | None:
    """Take the lane of a slot, when it has been announced how answers are counted; None when told to stop before.

    Raises LaneError, LeafError, OSError; RegistryError when nothing is announced.
    """
    directory = settings.data_dir / DIRECTORY
    try:
        announced = await _announced(directory, stop)
    except TimeoutError as error:
        raise RegistryError(Kind.UNAVAILABLE, _NOT_ANNOUNCED) from error
    if announced is None:
        return None
    terms = LaneTerms(
        Durability(settings.ledger_durability), settings.ledger_fail == "closed", origin
    )
    lane = Lane.open(directory / LANES, slot, happened, terms=terms)
    notes = Notes(SourceNotes(directory, slot), AgentNotes(directory, slot))
    numbers = AnnouncedNumbers(announced, is_homed, notes.agents.met)
    counter = Counter(
        lane,
        DayKeys(MonthKeys(directory / KEYS).key),
        announced.policies,
        trusted_proxies=networks(settings.trusted_proxies),
        numbers=numbers,
        met=notes.sources.met,
    )
    return Recording(directory, counter, numbers, notes)


async def _announced(directory: Path, stop: asyncio.Event) -> Announced | None:
    listed = robots()
    async with asyncio.timeout(ANNOUNCED_SECONDS):
        while not stop.is_set():
            announced = read_announced(directory, listed)
            if announced.policies:
                return announced
            await asyncio.sleep(_POLL_SECONDS)
    return None


def _outcome(labels: tuple[Protocol, Scheme, Status, Tier], *, is_sent: bool) -> tuple[int, int]:
    protocol, _, status, tier = labels
    flags = RecordFlag.NONCE_SENT if is_sent else RecordFlag(0)
    if status in SUCCESSES:
        flags |= RecordFlag.SUCCESS
    if tier in (Tier.MEMORY, Tier.REDIS):
        flags |= RecordFlag.FROM_CACHE
    return outcome(int(PROTOS[protocol]), int(CODES[status]), int(flags))


class _Mark(NamedTuple):
    """One state of the file `announced`.  The clock of a file system stands still for milliseconds."""

    written_ns: int
    size: int
    inode: int


def _mark(directory: Path) -> _Mark | None:
    """Tell one state of what is announced from another; None while there is no file."""
    try:
        found = (directory / FILE).stat()
    except FileNotFoundError:
        return None
    return _Mark(found.st_mtime_ns, found.st_size, found.st_ino)
