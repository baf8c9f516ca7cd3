"""Evidence for tests: a small ledger with everything in it, made at once by a node that is not there, its clock set.

Two lanes with two epochs each, three local days, two witnesses, an announced load test, a power loss, robots, suspects,
the node's own probes, repeats, prefixes, failures, three reports.  Where a test wants something to be false, it changes
what the node does (`Story`), and all that follows is signed and cosigned as always; or it changes the files afterwards.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from node.ledger.block import NO_TOTAL, Chain, Circumstances, body_path, reopened, seal, sm3
from node.ledger.canonical import canonical
from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.classes import robots_path
from node.ledger.count import DAY_US
from node.ledger.day import Closed, Gathered, close_day, day_at, start_of
from node.ledger.leaf import (
    Block,
    Campaign,
    CountPolicy,
    Day,
    Dictionary,
    Epoch,
    Gap,
    Genesis,
    Head,
    Leaf,
    Meters,
    MonthKey,
    Report,
    parse,
)
from node.ledger.note import Ed25519Signer, Note, Signature
from node.ledger.record import Class, Proto, Record, RecordFlag, encode, seed_of
from node.ledger.sm2 import Sm2Signer
from node.ledger.statement import Statement
from node.ledger.tags import DayTags, packed_address
from node.ledger.tiles import Frontier, encode_entries, entries_for
from node.ledger.tlog import EMPTY_ROOT, leaf_hash
from resolver.keys import sm
from tests.support.logs import seed

ORIGIN = "log.example/ledger"
MONTH = "2026-11"
MONTH_KEY = sha256(b"the key of the month").digest()
MINUTE = 60_000_000
STEP = 4 * MINUTE
FIRST_DAY = 20_760  # 2026-11-03
OWN_NETWORK, TESTERS = "192.0.2.0/24", "203.0.113.0/28"
ROBOTS = json.dumps({"version": 1, "words": ["examplebot"]}).encode()
AGENTS = {1: "ExampleBot/1.0", 2: "Mozilla/5.0"}
RATE = 40
SM2 = Sm2Signer(ORIGIN, sm.Sm2PrivateKey.from_scalar(seed(ORIGIN)))

_SUCCESS, _PREFIX = int(RecordFlag.SUCCESS), int(RecordFlag.PREFIX)


class Asked(NamedTuple):
    """What a request was; `at` is µs from the beginning of its step."""

    at: int
    address: str
    key: bytes
    nonce: int
    class_: int = Class.PRODUCTION
    flags: int = _SUCCESS
    agent: int = 2
    campaign: int = 0


@dataclass
class LaneState:
    """A lane of the story: where its blocks have come to, and when its epoch was opened."""

    chain: Chain
    opened: int


class Story:
    """What the node does.  A test that wants a lie overrides one method; each is called when it happens."""

    def leaves(self, node: "Maker", leaf: Leaf) -> Iterable[Leaf]:
        """Return what is put into the log in the place of this leaf."""
        return [leaf]

    def records(self, node: "Maker", lane: int, records: list[Record]) -> list[Record]:
        """Return what is in the lane in the place of these records."""
        return records

    def body(self, node: "Maker", leaf: Block, body: bytes) -> bytes:
        """Return what lies in the body's file."""
        return body

    def step(self, node: "Maker", number: int) -> None:
        """Something happens before this step."""

    def sign(self, node: "Maker", checkpoint: Checkpoint) -> Checkpoint:
        """Return what is signed and cosigned in the place of this head."""
        return checkpoint

    def seed(self, node: "Maker", lane: int, epoch: int) -> int:
        """Return what the CRC of records begins with."""
        return seed_of(lane, epoch)

    def report(self, node: "Maker", document: dict[str, Any]) -> dict[str, Any]:
        """Return what the report says in the place of this."""
        return document

    def beacon(self, node: "Maker") -> Head:
        """Return the head that blocks name."""
        return node.head


@dataclass(frozen=True)
class Evidence:
    """A directory of evidence, and what an auditor has beside it."""

    directory: Path
    given: Path  # what did not come from the node

    @property
    def words(self) -> list[str]:
        """The arguments of `verify` with everything that the auditor has."""
        given = self.given
        return [
            "verify",
            str(self.directory),
            *("--log-key", str(given / "log.vkey"), "--policy", str(given / "policy")),
            *("--month-key", str(given / "month.key"), "--robots", str(given / "robots.json")),
            *("--canaries", str(given / "canaries.csv"), "--prom", str(given / "prom.json")),
            *("--remember", str(given / "state"), "--threshold", "100:raw", "--toplevel", "top"),
        ]

    def read(self, path: str) -> bytes:
        """Return a file of the evidence."""
        return (self.directory / path).read_bytes()

    def write(self, path: str, data: bytes) -> None:
        """Put a file into the evidence."""
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_bytes(data)

    def write_sums(self) -> None:
        """Put SHA256SUMS over all that is there into the evidence, as an export does."""
        paths = [path for path in sorted(self.directory.rglob("*")) if path.is_file()]
        lines = [
            f"{sha256(path.read_bytes()).hexdigest()}  {path.relative_to(self.directory)}\n"
            for path in paths
        ]
        self.write("SHA256SUMS", "".join(lines).encode())

    def heads(self) -> list[Path]:
        """The heads, the smallest first."""
        found = (self.directory / "log" / "heads").iterdir()
        return sorted(found, key=lambda path: int(path.stem))


class Maker:
    """The node, its lanes and its log; `make` tells the story."""

    def __init__(self, directory: Path, story: Story) -> None:
        self.directory = directory
        self.story = story
        self.signer = Ed25519Signer(ORIGIN, seed(ORIGIN))
        self.witnesses = [Cosigner(f"{name}.example/w", seed(name)) for name in ("top", "auditor")]
        self.now = self.start = start_of(FIRST_DAY) + 23 * 60 * MINUTE + 20 * MINUTE
        self.head: Head = (0, EMPTY_ROOT)
        self.total = NO_TOTAL
        self.lines: list[bytes] = []
        self.bodies: dict[str, bytes] = {}
        self.lanes = [LaneState(Chain(lane, 0, self.now), self.now) for lane in range(2)]
        self.counted = [0, 0]
        self.answered: list[
            int
        ] = []  # times of all records, in the order in which they were answered
        self.canaries: list[tuple[int, int, str]] = []
        self.policy = 1
        self.campaign = 0
        self.files: dict[str, bytes] = {}
        self._frontier = Frontier()
        self._written = 0
        self._reports: dict[str, tuple[int, bytes]] = {}
        self._turn = 0

    @property
    def trust(self) -> str:
        """The auditor's policy."""
        names = ("top", "auditor")
        lines = [f"log {self.signer.key}"]
        lines += [f"witness {x} {w.key}" for x, w in zip(names, self.witnesses, strict=True)]
        return "\n".join([*lines, "group both all top auditor", "quorum both", ""])

    def make(self) -> None:
        """Tell the story, and write what it leaves."""
        self._begin()
        for number in range(34):
            if number == 20:
                self._sleep()
            self.story.step(self, number)
            self._events(number)
            self._step(number)
        for lane in (0, 1):
            self.close_epoch(lane)
        self._report("2026-10", 1)
        self._report(MONTH, 1)
        self._report(MONTH, 2)
        self.publish()
        self._write()

    def append(self, *leaves: Leaf) -> list[Leaf]:
        """Put leaves into the log, as the story has them, and return those."""
        appended: list[Leaf] = []
        for wanted in leaves:
            for leaf in self.story.leaves(self, wanted):
                self.lines.append(leaf.line())
                self._frontier_files(self._frontier.extend([leaf_hash(self.lines[-1])]))
                if isinstance(leaf, Block):
                    self.total = leaf.total
                    self.lanes[leaf.lane].chain = Chain.after(leaf)
                appended.append(leaf)
        return appended

    def publish(self) -> None:
        """Sign a head, and have it cosigned."""
        size, root = len(self.lines), self._frontier.root()
        checkpoint = self.story.sign(self, Checkpoint(ORIGIN, size, root))
        note = self.signed(checkpoint, self.now)
        self.head = checkpoint.size, checkpoint.root
        self.files[f"log/heads/{size}.note"] = note.encode()
        self.files["log/checkpoint"] = note.encode()

    def signed(self, checkpoint: Checkpoint, now: int) -> Note:
        """Return a head with the lines of the log and of both witnesses."""
        lines: list[Signature] = [self.signer.sign(checkpoint.text)]
        lines += [each.cosign(checkpoint, now // 1_000_000) for each in self.witnesses]
        return Note(checkpoint.text).signed(*lines)

    def seal(self, lane: int, asked: Sequence[Asked]) -> None:
        """Answer some questions and seal them."""
        state = self.lanes[lane]
        chain = state.chain
        records = [
            self._record(state, chain.last + place, each) for place, each in enumerate(asked, 1)
        ]
        self.answered += [record.t_us for record in records]
        records = self.story.records(self, lane, records)
        crc = self.story.seed(self, lane, chain.epoch)
        body = b"".join(encode(record, crc) for record in records)
        beacon = self.story.beacon(self)
        block = seal(body, chain, Circumstances(self.now, beacon, self.total, self.policy))
        appended = self.append(block)
        block = next(leaf for leaf in appended if isinstance(leaf, Block))
        if body:
            self.bodies[body_path(block)] = self.story.body(self, block, body)
        self.counted[lane] += len(records)

    def close_day(self, day: int) -> None:
        """Close a day: what is in the log until now is what it comes to."""
        leaves = list(enumerate(map(parse, self.lines)))
        start = start_of(day)
        gathered = Gathered(
            len(leaves),
            [
                (at, leaf)
                for at, leaf in leaves
                if isinstance(leaf, Block)
                and leaf.span[1] >= start
                and leaf.span[0] < start + DAY_US
            ],
        )
        prefixes = {
            no: (scheme, prefix)
            for _, leaf in leaves
            if isinstance(leaf, Dictionary)
            for no, scheme, prefix in leaf.prefixes
        }
        closed: Closed = close_day(
            gathered, day, lambda leaf: self.body(leaf), prefixes, (0, EMPTY_ROOT)
        )
        if self.append(closed.leaf):
            self.files[f"days/{closed.leaf.day}.json"] = closed.detail

    def open_epoch(self, lane: int, epoch: int) -> None:
        """Open an epoch of a lane."""
        state = self.lanes[lane]
        state.chain = reopened(state.chain, epoch, self.now)
        state.opened = self.now
        self.append(self._epoch(lane, "open"))

    def record_tags(self, address: str, agent: int) -> tuple[int, int]:
        """Return the client and the network tag of a caller now."""
        tags = DayTags(MONTH_KEY, day_at(self.now))
        packed = packed_address(address)
        client = tags.client_tag(packed, AGENTS.get(agent, "").encode())
        return int.from_bytes(client, "little"), int.from_bytes(tags.net_tag(packed), "little")

    def _begin(self) -> None:
        robots = {"sha256": sha256(ROBOTS).hexdigest(), "version": "1"}
        rows = [
            Dictionary(prefixes=((no, "handle", f"88.118.{no}"),), agents=())
            for no in range(1, 120)
        ]
        self.append(
            Genesis(
                origin=ORIGIN,
                node="node of the tests",
                keys=(str(self.signer.key),),
                policy=self.trust,
                time=self.now,
            ),
            self._policy(1, self.now, robots),
            MonthKey(month=MONTH, sha256=sha256(MONTH_KEY).hexdigest()),
            *rows,
            Dictionary(agents=tuple(AGENTS.items())),
        )
        self.publish()
        for lane in (0, 1):
            self.open_epoch(lane, 1)

    def _policy(self, number: int, since: int, robots: dict[str, str]) -> CountPolicy:
        return CountPolicy(
            number=number,
            since=since,
            text="rules of the tests",
            networks=(OWN_NETWORK,),
            count_loopback=False,
            robots=robots,
            rules={"window_s": 30, "suspect_from_per_minute": RATE},
            results={"1": "success", "100": "handle_not_found"},
        )

    def _sleep(self) -> None:
        """A day without anybody: no heads, and the log says so."""
        start = self.now
        self.now = start_of(FIRST_DAY + 1) + 23 * 60 * MINUTE + 40 * MINUTE
        self.append(
            Gap(
                lane=0, epoch=0, last=0, torn=0, bound=0, cause="witnesses", span=(start, self.now)
            ),
            self._meters(),
        )
        for lane in (0, 1):
            self.seal(lane, [])
        self.publish()

    def _events(self, number: int) -> None:
        """What happens once."""
        if number == 3:
            self.append(self._campaign("open", self.now + STEP))
        elif number == 4:
            self.campaign = 1
        elif number == 6:
            self.campaign = 0
            self.append(self._campaign("close", self.now))
        elif number == 8:  # the file is full, and the worker goes on in the next
            self.close_epoch(0)
            self.open_epoch(0, 2)
        elif number == 12:  # the machine stops
            self._lose_power()
        elif number == 14:
            robots = {"sha256": sha256(ROBOTS).hexdigest(), "version": "1"}
            self.append(self._policy(2, self.now + STEP, robots))
        elif number == 15:
            self.policy = 2
        elif number in (13, 28):
            self.close_day(FIRST_DAY + (number == 28))

    def _step(self, number: int) -> None:
        start = self.now
        self.now += STEP
        for lane in (0, 1):
            asked = list(self._traffic(lane, number))
            self.seal(lane, [each._replace(at=start + each.at) for each in asked])
        self.append(self._meters())
        self.publish()

    def some_traffic(self, lane: int, start: int) -> list[Asked]:
        """Return four minutes of a lane."""
        return [each._replace(at=start + each.at) for each in self._traffic(lane, 1)]

    def _traffic(self, lane: int, number: int) -> Iterator[Asked]:
        """Four minutes of a lane."""
        second = 1_000_000
        self._turn += 1
        client, key = f"198.51.100.{number % 9 + 1 + lane * 20}", b"88.118.1/PUMP-%d" % (number % 5)
        nonce = self._turn * 1_000
        yield Asked(10 * second, client, key, nonce)
        yield Asked(12 * second, client, key, nonce)  # a retry
        yield Asked(20 * second, client, key, nonce + 1)  # again within 30 s
        yield Asked(90 * second, client, key, nonce + 2)
        yield Asked(95 * second, client, b"88.118.1/VALVE", nonce + 3, flags=0)
        yield Asked(96 * second, client, b"0.NA/88.118.1", nonce + 4, flags=_SUCCESS | _PREFIX)
        yield Asked(100 * second, "192.0.2.7", key, nonce + 5, Class.SELF)
        yield Asked(110 * second, "198.51.101.9", key, nonce + 6, Class.ROBOT, agent=1)
        yield Asked(120 * second, "198.51.102.9", key, nonce + 7, Class.SUSPECT)
        if number % 5 == 2:
            self.canaries.append((self.now - STEP + 130 * second, nonce + 8, "88.118.1/CANARY"))
            yield Asked(130 * second, "198.51.103.1", b"88.118.1/CANARY", nonce + 8, agent=0xFFFF)
        if self.campaign:
            for place in range(5):
                at = (140 + place) * second
                yield Asked(at, "203.0.113.3", key, nonce + 10 + place, Class.TEST, campaign=1)
        yield Asked(200 * second, client, key, nonce + 20)

    def _record(self, state: LaneState, seq: int, asked: Asked) -> Record:
        tags = DayTags(MONTH_KEY, day_at(asked.at))
        address = packed_address(asked.address)
        agent = AGENTS.get(asked.agent, "").encode()
        is_prefix = bool(asked.flags & _PREFIX)
        return Record(
            seq=seq,
            t_us=asked.at,
            mono_ms=(asked.at - state.opened) // 1_000,
            class_=asked.class_,
            proto=Proto.UDP,
            result=1 if asked.flags & _SUCCESS else 100,
            id_tag=int.from_bytes(tags.id_tag(asked.key), "little"),
            client_tag=int.from_bytes(tags.client_tag(address, agent), "little"),
            net_tag=int.from_bytes(tags.net_tag(address), "little"),
            prefix_no=0 if is_prefix else 1,
            policy=self._policy_at(asked.at),
            campaign=asked.campaign,
            flags=asked.flags,
            ua=asked.agent,
            nonce=asked.nonce,
        )

    def _policy_at(self, time: int) -> int:
        return self.policy

    def _campaign(self, state: str, time: int) -> Campaign:
        is_open = state == "open"
        return Campaign(
            number=1,
            state=state,
            time=time,
            token=sha256(b"token").hexdigest(),
            listener="",
            networks=(TESTERS,),
            until=time + 3 * STEP if is_open else time,
            planned=20,
            observed=None if is_open else 20,
        )

    def _lose_power(self) -> None:
        chain = self.lanes[1].chain
        self.append(
            Gap(
                lane=1,
                epoch=chain.epoch,
                last=chain.last,
                torn=17,
                bound=3,
                cause="power loss",
                span=(chain.ended_at - 1_000_000, chain.ended_at),
            )
        )
        self.close_epoch(1)
        self.open_epoch(1, 2)

    def close_epoch(self, lane: int) -> None:
        """Close the epoch of a lane."""
        self.append(self._epoch(lane, "close"))

    def _epoch(self, lane: int, state: str) -> Epoch:
        chain = self.lanes[lane].chain
        return Epoch(
            lane=lane,
            epoch=chain.epoch,
            state=state,
            time=self.now,
            boot="00" * 16,
            durability="group",
            last=chain.last if state == "close" else None,
        )

    def _meters(self) -> Meters:
        rows = tuple(
            (lane, lane, state.chain.epoch, self.counted[lane], state.chain.last, 0)
            for lane, state in enumerate(self.lanes)
        )
        return Meters(time=self.now, workers=rows)

    def _report(self, month: str, version: int) -> None:
        """Issue a report, and put it into the log."""
        earlier = max((known for known in self._reports if known < month), default=None)
        days = [leaf for leaf in map(parse, self.lines) if isinstance(leaf, Day)]
        sums = {
            name: sum(getattr(leaf, field) for leaf in days)
            for name, field in (
                *((name, name) for name in ("requests", "raw", "filtered", "test")),
                *(("self", "own"), ("robot", "robot"), ("suspect", "suspect")),
            )
        }
        before = self._reports.get(month)
        document = {
            "schema": "idnode-report-1",
            "report_version": version,
            "period": {"month": month},
            "totals": sums,
            "log": {"prev_report_digest": self._digest(earlier)},
        }
        data = canonical(self.story.report(self, document))
        replaced = None if before is None else sha256(before[1]).hexdigest()
        self._reports[month] = version, data
        statement = Statement.of(ORIGIN, month, version, data).text
        self.files["report.json"] = data
        self.files["report.note"] = Note(statement).signed(self.signer.sign(statement)).encode()
        self.append(
            Report(
                period=month,
                version=version,
                sha256=sha256(data).hexdigest(),
                sm3=sm3(data),
                supersedes=replaced,
            )
        )

    def _digest(self, month: str | None) -> str:
        return "" if month is None else sha256(self._reports[month][1]).hexdigest()

    def body(self, leaf: Block) -> bytes | None:
        """Return the records of a block."""
        if leaf.sequence[1] < leaf.sequence[0]:
            return b""
        return self.bodies.get(body_path(leaf))

    def _frontier_files(self, tiles: Iterable[tuple[object, bytes]]) -> None:
        for tile, data in tiles:
            self.files[f"log/{tile.path}"] = data  # type: ignore[attr-defined]

    def _write(self) -> None:
        size = len(self.lines)
        for bundle in entries_for(0, size):
            at = bundle.number * 256
            self.files[f"log/{bundle.path}"] = encode_entries(self.lines[at : at + bundle.width])
        newest = Note.parse(self.files["log/checkpoint"])
        self.files["log/checkpoint"] = newest.signed(SM2.sign(newest.text)).encode()
        self.files[robots_path(sha256(ROBOTS).hexdigest())] = ROBOTS
        self.files["leaves.jsonl"] = b"".join(line + b"\n" for line in self.lines)
        self.files |= {f"bodies/{path}": data for path, data in self.bodies.items()}
        made = Evidence(self.directory / "evidence", self.directory / "given")
        for path, data in self.files.items():
            made.write(path, data)
        self._give(made.given)

    def _give(self, given: Path) -> None:
        """What the auditor has from others, or counted himself."""
        given.mkdir()
        (given / "log.vkey").write_text(f"{self.signer.key}\n{SM2.key}\n")
        (given / "policy").write_text(self.trust)
        (given / "month.key").write_text(MONTH_KEY.hex())
        (given / "robots.json").write_bytes(ROBOTS)
        rows = ["time,nonce,identifier,receipt"]
        for time, nonce, key in self.canaries:
            digits = nonce.to_bytes(4, "little").hex()
            rows.append(f"{time / 1e6},{digits},{key},")
        (given / "canaries.csv").write_text("\n".join(rows) + "\n")
        (given / "prom.json").write_text(self._scraped())

    def _scraped(self) -> str:
        """What a Prometheus of the auditor's has: a sample a minute, and the counter begins anew in the middle."""
        values, base = [], 0
        times = sorted(self.answered)
        middle = start_of(FIRST_DAY + 1) + 12 * 60 * MINUTE
        for now in range(self.start, self.now + MINUTE, MINUTE):
            count = sum(1 for time in times if time <= now)
            if now >= middle and not base:
                base = count
            values.append([now / 1e6, str(count - base)])
        matrix = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
        return json.dumps({"status": "success", "data": matrix})


def make_evidence(directory: Path, story: Story | None = None) -> Evidence:
    """Make a directory of evidence, good unless the story is a false one."""
    Maker(directory, story or Story()).make()
    return Evidence(directory / "evidence", directory / "given")


def moved(record: Record, microseconds: int) -> Record:
    """The same record at another time, on both clocks."""
    return record._replace(
        t_us=record.t_us + microseconds, mono_ms=record.mono_ms + microseconds // 1_000
    )


def changed(leaf: Block, **fields: object) -> Block:
    """A block that says something else."""
    return replace(leaf, **fields)  # type: ignore[arg-type]
