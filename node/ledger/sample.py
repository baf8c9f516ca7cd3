"""The sample month: a ledger of its own, `sample.invalid`, filled by a generator whose clock is set.

It has everything that a real one has: lanes, blocks, cosigned heads, an announced load test, a power loss with its gap,
closed days, an evidence index, a monthly report, a bundle that verifies.  Nothing in it is true: its keys are known to
everybody, and each page of its report says so.  The same arguments make the same bytes, those of the SM2 lines apart.
"""

from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from node.ledger.block import (
    MAX_RECORDS,
    NO_TOTAL,
    Chain,
    Circumstances,
    body_path,
    reopened,
    seal,
)
from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.classes import Robots
from node.ledger.closing import Append, DayCloser
from node.ledger.count import DAY_US
from node.ledger.day import day_at, start_of
from node.ledger.index import DIRECTORY, KEY, EvidenceIndex, index_name, load_signer
from node.ledger.leaf import (
    Block,
    Campaign,
    Dictionary,
    Epoch,
    Gap,
    Genesis,
    Head,
    Leaf,
    Meters,
    MonthKey,
)
from node.ledger.logfiles import BODIES, HEADS, KEYS, LOG, POLICY, LogFiles
from node.ledger.note import Ed25519Signer, Note
from node.ledger.record import Record, encode, seed_of
from node.ledger.rules import policy_leaf
from node.ledger.sampletraffic import PREFIXES, Asked, Traffic, weight
from node.ledger.signing import KEY as LOG_KEY
from node.ledger.signing import PUBLIC, SM2_KEY
from node.ledger.sm2 import Sm2Signer
from node.ledger.tags import DayTags
from node.ledger.tiles import ENTRIES, TILE_WIDTH, Frontier, Tile, encode_entries, entries_for
from node.ledger.tlog import EMPTY_ROOT, leaf_hash
from resolver.keys import sm

ORIGIN = "sample.invalid"
NODE = "SAMPLE 样例"
RESOLUTIONS = 1_080_000  # in production, of the whole month
WITNESSES = ("top.sample.invalid/witness", "auditor.sample.invalid/witness")

_LANES = 2
_SLOT_US = 300_000_000
_SECOND_US = 1_000_000
_HOUR_US = 3_600 * _SECOND_US
_ROBOTS = Path(__file__).with_name("robots.json")
_POWER_LOSS_DAY, _POWER_LOSS_HOUR, _LOST = 17, 14, 212
_CAMPAIGN_DAY, _CAMPAIGN_HOUR, _CAMPAIGN_TOKEN = 11, 2, "sample"
_BOOT = sha256(b"the machine of the sample").hexdigest()[:32]


class Keys(NamedTuple):
    """The keys of the sample, which are no secret."""

    log: Ed25519Signer
    sm2: Sm2Signer
    witnesses: tuple[Cosigner, ...]

    @classmethod
    def make(cls) -> "Keys":
        """Return them."""
        return cls(
            Ed25519Signer(ORIGIN, _seed("log")),
            Sm2Signer(ORIGIN, sm.Sm2PrivateKey.from_scalar(_seed("sm2"))),
            tuple(Cosigner(name, _seed(name)) for name in WITNESSES),
        )

    @property
    def policy(self) -> str:
        """The tlog-policy: both witnesses."""
        short = [witness.name.partition(".")[0] for witness in self.witnesses]
        lines = [f"log {self.log.key}"]
        lines += [f"witness {x} {each.key}" for x, each in zip(short, self.witnesses, strict=True)]
        return "\n".join([*lines, f"group all all {' '.join(short)}", "quorum all", ""])


class SampleLog:
    """A log in files that one process makes at one go: no database, no fsync for each file, heads of any time."""

    def __init__(self, directory: Path, keys: Keys) -> None:
        self.directory = directory
        self.keys = keys
        self.total = NO_TOTAL
        self.head: Head = (0, EMPTY_ROOT)  # the newest that is cosigned
        self.now = 0  # µs: when that was
        self._frontier = Frontier()
        self._lines: list[bytes] = []
        self._written = 0  # lines that are in files
        self._edge: dict[int, tuple[Tile, bytes]] = {}  # the last tile of each level, not full
        self._note = Note("\n")
        for name in (LOG, HEADS, BODIES, KEYS, POLICY):
            (directory / name).mkdir(parents=True)

    def append(self, *leaves: Leaf) -> int:
        """Put leaves behind the others, and return the index of the first."""
        first = len(self._lines)
        for leaf in leaves:
            self._lines.append(leaf.line())
            if isinstance(leaf, Block):
                self.total = leaf.total
        for tile, data in self._frontier.extend(map(leaf_hash, self._lines[first:])):
            if tile.width == TILE_WIDTH:
                _write(self.directory / LOG / tile.path, data)
                self._edge.pop(tile.level, None)
            else:
                self._edge[tile.level] = tile, data
        return first

    def publish(self, now_us: int) -> None:
        """Sign a head, have it cosigned a second later, and keep it."""
        checkpoint = Checkpoint(ORIGIN, self._frontier.size, self._frontier.root())
        self.now, seconds = now_us, now_us // _SECOND_US + 1
        lines = [self.keys.log.sign(checkpoint.text)]
        lines += [witness.cosign(checkpoint, seconds) for witness in self.keys.witnesses]
        self._note = Note(checkpoint.text).signed(*lines)
        self.head = checkpoint.size, checkpoint.root
        _write(self.directory / HEADS / f"{checkpoint.size}.note", self._note.encode())

    def write(self) -> None:
        """Bring the files up to the newest head: its partial tiles, its entries, and the head, with an SM2 line."""
        size = self._frontier.size
        for tile, data in self._edge.values():
            _write(self.directory / LOG / tile.path, data)
        for bundle in entries_for(self._written, size):
            at = bundle.number * TILE_WIDTH
            data = encode_entries(self._lines[at : at + bundle.width])
            _write(self.directory / LOG / bundle._replace(level=ENTRIES).path, data)
        self._written = size
        note = self._note.signed(self.keys.sm2.sign(self._note.text))
        _write(self.directory / LOG / "checkpoint", note.encode())


class SampleMonth:
    """The node of the sample while its clock runs through a month."""

    def __init__(self, directory: Path, first: date, resolutions: int, seed: int) -> None:
        self.start = start_of((first - date(1970, 1, 1)).days)
        self.log = SampleLog(directory, Keys.make())
        self._month_key = _seed(f"month {first:%Y-%m} {seed}")
        self._month = f"{first:%Y-%m}"
        self._traffic = Traffic(seed)
        self._resolutions = resolutions
        self._lanes = [Chain(lane, 1, self.start) for lane in range(_LANES)]
        self._opened = [self.start] * _LANES  # when the epoch of each was
        self._opened = [self.start] * _LANES
        self._counted = [0] * _LANES  # what Prometheus would say
        self._tags = DayTags(self._month_key, 0)

    def begin(self) -> None:
        """Say what a log says first."""
        log, start = self.log, self.start
        keys = tuple(str(key) for key in (log.keys.log.key, log.keys.sm2.key))
        rows = tuple((no, scheme, name) for no, (scheme, name, _) in enumerate(PREFIXES, 1))
        robots = Robots.parse(_ROBOTS.read_bytes())
        log.append(
            Genesis(origin=ORIGIN, node=NODE, keys=keys, policy=log.keys.policy, time=start),
            policy_leaf(1, start, (), robots, count_loopback=False),
            MonthKey(month=self._month, sha256=sha256(self._month_key).hexdigest()),
            Dictionary(prefixes=rows),
            *(_epoch(chain, "open", start) for chain in self._lanes),
        )
        log.publish(start)
        _write(log.directory / KEYS / f"month-{self._month}.key", self._month_key.hex().encode())
        _write(log.directory / KEYS / PUBLIC, "".join(f"{key}\n" for key in keys).encode())
        _write(log.directory / KEYS / LOG_KEY, f"{log.keys.log.secret}\n".encode())
        _write(log.directory / KEYS / SM2_KEY, f"{log.keys.sm2.secret}\n".encode())
        _write(log.directory / POLICY / "policy.tlog-policy", log.keys.policy.encode())

    def slot(self, start: int, number: int | None) -> None:
        """Live through five minutes: so much is asked (None: nothing at all), sealed, and cosigned."""
        end = start + _SLOT_US
        day, hour = (start - self.start) // DAY_US + 1, (start - self.start) % DAY_US // _HOUR_US
        if self._tags.day != day_at(start):
            self._tags = DayTags(self._month_key, day_at(start))
        asked = [] if number is None else self._traffic.slot(start, end, number, self._tags)
        is_hour = (start - self.start) % _HOUR_US == 0
        if (day, hour) == (_CAMPAIGN_DAY, _CAMPAIGN_HOUR - 1) and is_hour:
            self.log.append(self._campaign(start + _HOUR_US, "open"))
        if (day, hour) == (_CAMPAIGN_DAY, _CAMPAIGN_HOUR):
            planned = self._planned // 12
            asked = sorted(asked + self._traffic.campaign(start, end, planned, 1, self._tags))
        for lane in range(_LANES):
            mine = [each for at, each in enumerate(asked) if at % _LANES == lane]
            self._seal(lane, mine, end)
        if (day, hour) == (_CAMPAIGN_DAY, _CAMPAIGN_HOUR + 1) and is_hour:
            self.log.append(self._campaign(start, "close"))
        if (day, hour) == (_POWER_LOSS_DAY, _POWER_LOSS_HOUR) and is_hour:
            self._lose_power(end)
        self.log.append(self._meters(end))
        self.log.publish(end)

    @property
    def _planned(self) -> int:
        return max(self._resolutions // 9 // 12 * 12, 12)

    def _seal(self, lane: int, asked: list[Asked], now: int) -> None:
        """Seal what a lane has, in as many blocks as it needs, one at least."""
        for at in range(0, max(len(asked), 1), MAX_RECORDS):
            chain = self._lanes[lane]
            seed, part = seed_of(lane, chain.epoch), asked[at : at + MAX_RECORDS]
            body = b"".join(
                encode(_record(each, seq, self._opened[lane]), seed)
                for seq, each in enumerate(part, chain.last + 1)
            )
            block = seal(body, chain, Circumstances(now, self.log.head, self.log.total, 1))
            self.log.append(block)
            if body:
                _write(self.log.directory / BODIES / body_path(block), body)
            self._lanes[lane] = Chain.after(block)
        self._counted[lane] += len(asked)

    def _campaign(self, time: int, state: str) -> Campaign:
        is_open = state == "open"
        return Campaign(
            number=1,
            state=state,
            time=time,
            token=sha256(_CAMPAIGN_TOKEN.encode()).hexdigest(),
            listener="",
            networks=(),
            until=time + _HOUR_US if is_open else time,
            planned=self._planned,
            observed=None if is_open else self._planned,
        )

    def _lose_power(self, now: int) -> None:
        """The machine of lane 1 stops; what was answered after the last group commit is not known."""
        chain = self._lanes[1]
        self.log.append(
            Gap(
                lane=1,
                epoch=chain.epoch,
                last=chain.last,
                torn=0,
                bound=_LOST,
                cause="power loss",
                span=(chain.ended_at, now),
            ),
            _epoch(chain, "close", now),
        )
        self._lanes[1] = reopened(chain, chain.epoch + 1, now)
        self._opened[1] = now
        self._opened[1] = now
        self._counted[1] = 0
        self.log.append(_epoch(self._lanes[1], "open", now))

    def _meters(self, now: int) -> Meters:
        rows = tuple(
            (chain.lane, chain.lane, chain.epoch, self._counted[chain.lane], chain.last, 0)
            for chain in self._lanes
        )
        return Meters(time=now, workers=rows)


class Sample:
    """A month of `sample.invalid`, in a directory that is not there yet.

    `days` is for a shorter month, in which `resolutions` are spread likewise; `per_slot` (above 0) is for as many as
    that in every five minutes until all were asked, and none afterwards: 7,400 fill the blocks of both lanes.
    """

    def __init__(
        self,
        directory: Path,
        first: date,
        *,
        days: int | None = None,
        resolutions: int = RESOLUTIONS,
        per_slot: int = 0,
        seed: int = 1,
    ) -> None:
        """Raises FileExistsError, OSError."""
        directory.mkdir(parents=True)
        self._month = SampleMonth(directory, first, resolutions, seed)
        self._days = _days_of(first) if days is None else days
        self._resolutions = resolutions
        self._per_slot = per_slot
        self._closer = _closer(self._month.log, self.append)
        self.files = LogFiles(directory)
        self.keys = self._month.log.keys

    def live(self) -> Iterator[str]:
        """Live through the month, and yield each day when it is closed.  Raises OSError."""
        for midnight in self._days_lived():
            yield from self._closer.close_due(midnight + _SLOT_US)

    def live_without_closing(self) -> None:
        """Live through the month; who has the directory may close its days."""
        for _ in self._days_lived():
            pass

    def _days_lived(self) -> Iterator[int]:
        """Yield each midnight, when the lanes have come past it."""
        month, start = self._month, self._month.start
        end = start + self._days * DAY_US
        numbers = self._numbers(range(start, end, _SLOT_US))
        month.begin()
        for at in range(start, end + _SLOT_US, _SLOT_US):
            month.slot(at, numbers.get(at))
            if at > start and (at - start) % DAY_US == 0:
                month.log.write()
                yield at

    def _numbers(self, slots: range) -> dict[int, int]:
        """How much is asked in each slot; a slot that is missing has nothing at all."""
        if self._per_slot:
            rest = range(self._resolutions, 0, -self._per_slot)
            return {at: min(self._per_slot, left) for at, left in zip(slots, rest, strict=False)}
        weights = {at: weight(at) for at in slots}
        whole = sum(weights.values())
        return {at: round(self._resolutions * each / whole) for at, each in weights.items()}

    def append(self, leaf: Leaf) -> int:
        """Put a leaf into the log, and publish it a minute after the last; return its index."""
        log = self._month.log
        at = log.append(leaf)
        log.publish(log.now + 60 * _SECOND_US)
        log.write()
        return at


def _closer(log: SampleLog, append: Append) -> DayCloser:
    keys = log.directory / KEYS
    signer = Ed25519Signer(index_name(ORIGIN), _seed("index"))
    _write(keys / KEY, f"{signer.secret}\n".encode())
    index = EvidenceIndex.open(
        log.directory / DIRECTORY, load_signer(keys, ORIGIN, is_new=False), ORIGIN
    )
    return DayCloser(LogFiles(log.directory), index, append)


def _record(asked: Asked, seq: int, opened: int) -> Record:
    return Record(
        seq=seq,
        t_us=asked.time,
        mono_ms=(asked.time - opened) // 1_000,
        class_=asked.class_,
        proto=asked.proto,
        result=asked.result,
        id_tag=asked.id_tag,
        client_tag=asked.client_tag,
        net_tag=asked.net_tag,
        prefix_no=asked.prefix_no,
        policy=1,
        campaign=asked.campaign,
        flags=asked.flags,
        ua=0xFFFF,
        nonce=asked.nonce,
    )


def _epoch(chain: Chain, state: str, time: int) -> Epoch:
    return Epoch(
        lane=chain.lane,
        epoch=chain.epoch,
        state=state,
        time=time,
        boot=_BOOT,
        durability="group",
        last=chain.last if state == "close" else None,
    )


def _days_of(first: date) -> int:
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    return (following - first).days


def _seed(name: str) -> bytes:
    return sha256(f"sample.invalid {name}".encode()).digest()


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
