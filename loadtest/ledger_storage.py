"""What the ledger keeps on the disk: for a million answers, and for a day on which nobody asks anything.

    python -m loadtest.ledger_storage [--records 1000000] [--lanes 4]

Real records go through the node's own blocks, tree and files into a directory that is thrown away, with a clock that is
set; what lies there is added up.  Postgres keeps one row a leaf beside that.
"""

import argparse
import gzip
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from loadtest.figures import Target
from node.ledger.block import MAX_RECORDS, NO_TOTAL, Chain, Circumstances, seal
from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.heads import HeadFiles
from node.ledger.leaf import Leaf, Meters
from node.ledger.logfiles import BODIES, HEADS, LOG, LogFiles
from node.ledger.note import Ed25519Signer, Note
from node.ledger.record import Class, Proto, Record, RecordFlag, encode, seed_of
from node.ledger.tlog import EMPTY_ROOT
from node.ledger.tree import Tree

ORIGIN = "sample.invalid"
START_US = 1_790_000_000_000_000
MINUTE_US = 60_000_000
MINUTES_A_DAY = 1_440
PER_SECOND = 5_000  # answers, in the measured million
CLIENTS, IDENTIFIERS = 2_000, 50_000
SUCCESSES = 0.97
CHECKPOINT_SECONDS = 10
LANES = 4
MB = 1_000_000


@dataclass(slots=True)
class Sample:
    """A log in a directory of its own, with its signer and a witness."""

    files: LogFiles
    tree: Tree
    chains: dict[int, Chain]
    total: tuple[int, ...] = NO_TOTAL
    signer: Ed25519Signer = field(default_factory=lambda: Ed25519Signer(ORIGIN, bytes(32)))
    witness: Cosigner = field(default_factory=lambda: Cosigner("witness.invalid", bytes(32)))

    @classmethod
    def make(cls, directory: Path, lanes: int) -> "Sample":
        """Begin a log."""
        files = LogFiles(directory)
        files.make()
        chains = {lane: Chain(lane, 1, START_US) for lane in range(lanes)}
        return cls(files, Tree.load(files, (0, EMPTY_ROOT)), chains)

    def seal(self, lane: int, body: bytes, now_us: int) -> Leaf:
        """Seal a block of a lane, and keep its body."""
        around = Circumstances(now_us, self.tree.head, self.total, 1)
        block = seal(body, self.chains[lane], around)
        self.files.write_body(block, body)
        self.chains[lane], self.total = Chain.after(block), block.total
        return block

    def publish(self, leaves: list[Leaf], now_us: int) -> None:
        """Append leaves, sign, and have the head cosigned."""
        old = self.tree.head[0]
        checkpoint = Checkpoint(ORIGIN, *self.tree.grow([leaf.line() for leaf in leaves]))
        self.tree.tidy(old)
        note = Note(checkpoint.text).signed(self.signer.sign(checkpoint.text))
        self.files.publish(note)
        cosigned = note.signed(self.witness.cosign(checkpoint, now_us // 1_000_000))
        HeadFiles(self.files.directory).archive(cosigned, is_newest=True)


def main() -> int:
    """Measure both, and print them beside what the design allows."""
    parser = argparse.ArgumentParser(description="What the ledger keeps on the disk.")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--lanes", type=int, default=LANES)
    given = parser.parse_args()
    stored = store_both(given.records, given.lanes)
    print(*stored_lines(*stored), sep="\n")
    return 0


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes on the disk after so many answers."""

    records: int
    leaves: int
    bodies: int
    packed_bodies: int  # as gzip -6 packs them for an archive
    lines: int
    log: int  # tiles, entries and the checkpoint, partial tiles too
    heads: int
    head_count: int

    def sentence(self) -> str:
        """Return them in a line."""
        return (
            f"bodies {self.bodies / MB:.1f} MB (gzip {self.packed_bodies / MB:.1f} MB), "
            f"{self.leaves:,} leaves of {self.lines / self.leaves:.0f} B, log {self.log / MB:.2f} MB, "
            f"{self.head_count:,} heads {self.heads / MB:.2f} MB; kept for ever {(self.log + self.heads) / MB:.2f} MB"
        )

    @property
    def for_ever(self) -> int:
        """What stays when bodies are deleted after their time."""
        return self.log + self.heads

    def as_json(self) -> dict[str, object]:
        """Return it for bench.json."""
        return {name: getattr(self, name) for name in self.__slots__}


def store_answers(records: int, lanes: int) -> Stored:
    """Seal so many answers, spread over the lanes, with a checkpoint each ten seconds."""
    with tempfile.TemporaryDirectory(prefix="idnode-ledger-") as directory:
        sample = Sample.make(Path(directory), lanes)
        chance, leaves, packed, done = random.Random(1), [], 0, 0
        while done < records:
            lane = done // MAX_RECORDS % lanes
            count = min(MAX_RECORDS, records - done)
            body = b"".join(_records(sample.chains[lane], count, done, chance))
            packed += len(gzip.compress(body, 6, mtime=0))
            done += count
            now_us = START_US + done * 1_000_000 // PER_SECOND
            leaves.append(sample.seal(lane, body, now_us))
            if len(leaves) * MAX_RECORDS >= CHECKPOINT_SECONDS * PER_SECOND or done == records:
                sample.publish(leaves, now_us)
                leaves = []
        return _add_up(sample, records, packed)


def store_idle_day(lanes: int) -> Stored:
    """Seal a day of nothing: each minute a heartbeat of each lane, the meters, a checkpoint and its cosignature."""
    with tempfile.TemporaryDirectory(prefix="idnode-ledger-") as directory:
        sample = Sample.make(Path(directory), lanes)
        for minute in range(1, MINUTES_A_DAY + 1):
            now_us = START_US + minute * MINUTE_US
            beats = [sample.seal(lane, b"", now_us) for lane in range(lanes)]
            rows = tuple((lane, lane, 1, 123_456, 123_456, 0) for lane in range(lanes))
            sample.publish([*beats, Meters(time=now_us, workers=rows)], now_us)
        return _add_up(sample, 0, 0)


def store_both(records: int, lanes: int = LANES) -> tuple[Stored, Stored]:
    """Seal so many answers, and an idle day."""
    return store_answers(records, lanes), store_idle_day(lanes)


def stored_lines(answers: Stored, idle: Stored) -> Iterator[str]:
    """Say what lies on the disk."""
    yield f"{answers.records:,} answers: {answers.sentence()}"
    yield f"an idle day: {idle.sentence()}"


def storage_targets(answers: Stored, idle: Stored) -> list[Target]:
    """Return what the design allows (answers, reckoned up to a million; an idle day of four lanes), in MB."""
    per_million = 1_000_000 / answers.records / MB
    return [
        Target(
            "Ledger, bodies of a million answers, MB",
            answers.bodies * per_million,
            64.0,
            at_least=False,
        ),
        Target(
            "Ledger, leaves of a million answers, MB",
            answers.lines * per_million,
            0.2,
            at_least=False,
        ),
        Target(
            "Ledger, kept for ever of an idle day, MB", idle.for_ever / MB, 10.0, at_least=False
        ),
        Target(
            "Ledger, rows in Postgres of an idle day", float(idle.leaves), 12_000, at_least=False
        ),
    ]


def _records(chain: Chain, count: int, done: int, chance: random.Random) -> Iterator[bytes]:
    seed = seed_of(chain.lane, chain.epoch)
    for place in range(count):
        passed_us = (done + place) * 1_000_000 // PER_SECOND
        client, identifier = chance.randrange(CLIENTS), chance.randrange(IDENTIFIERS)
        made = Record(
            seq=chain.last + 1 + place,
            t_us=START_US + passed_us,
            mono_ms=passed_us // 1_000,
            class_=Class.PRODUCTION,
            proto=chance.choice((Proto.HTTP_JSON, Proto.UDP, Proto.TCP)),
            result=1 if chance.random() < SUCCESSES else 100,
            id_tag=_tag(identifier, 8),
            client_tag=_tag(CLIENTS * IDENTIFIERS + client, 8),
            net_tag=_tag(client // 4, 4),
            prefix_no=1 + identifier % 7,
            policy=1,
            campaign=0,
            flags=RecordFlag.SUCCESS | RecordFlag.FROM_CACHE | RecordFlag.NONCE_SENT,
            ua=0xFFFF,
            nonce=chance.getrandbits(32),
        )
        yield encode(made, seed)


def _tag(number: int, size: int) -> int:
    return int.from_bytes(sha256(number.to_bytes(8)).digest()[:size])


def _add_up(sample: Sample, records: int, packed: int) -> Stored:
    files = sample.files
    sizes = {name: _bytes_below(files.directory / name) for name in (BODIES, LOG, HEADS)}
    count = sample.tree.head[0]
    lines = sum(map(len, files.lines(0, count)))
    heads = len(files.head_sizes())
    return Stored(records, count, sizes[BODIES], packed, lines, sizes[LOG], sizes[HEADS], heads)


def _bytes_below(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
