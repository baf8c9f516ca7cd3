"""Kill the writer of a lane at random moments: `python -m loadtest.kill_lane [--kills N] [--seed N] [--capacity N]`.

A child appends as fast as it can, and announces each record after `append` has returned, as an answer would leave then;
it is killed with SIGKILL, and another takes its lane.  Afterwards every announced record must be found, once, and none
that was not appended: at most the one that the kill came upon between its append and its announcement.
"""

import argparse
import mmap
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter as Multiset
from pathlib import Path
from typing import NamedTuple

from node.ledger.classes import Policy
from node.ledger.counting import Counter
from node.ledger.lane import Lane
from node.ledger.lanefile import Cause, LaneReader, lane_files
from node.ledger.laneterms import LaneTerms
from node.ledger.parties import outcome
from node.ledger.record import Proto, RecordFlag, decode_all
from node.ledger.recovery import settle
from node.ledger.tags import DayKeys

LONGEST_SECONDS = 0.08  # that a child lives, once it appends
_ANNOUNCED = struct.Struct("Q")
_OUTCOME = outcome(Proto.UDP, 1, RecordFlag.SUCCESS)


class Verdict(NamedTuple):
    """What was found: records announced by all children, records found, and what is wrong, in words."""

    announced: int
    found: int
    faults: list[str]


def main() -> None:
    """Kill, look, print; exit code 1 when a record is lost or counted twice."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--capacity", type=int, default=4_096, help="records of an epoch")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.write:
        write(given.write, given.capacity)
    with tempfile.TemporaryDirectory() as directory:
        verdict = kill(Path(directory), given.kills, given.seed, given.capacity)
    print(f"{given.kills} kills, {verdict.announced} records announced, {verdict.found} found")
    for fault in verdict.faults:
        print(fault)
    sys.exit(bool(verdict.faults))


def write(directory: Path, capacity: int) -> None:
    """Append until killed; the records' nonces count on from where the child before had come to."""
    lane = Lane.open(directory / "lanes", 0, lambda _: None, terms=LaneTerms(capacity=capacity))
    counter = Counter(lane, DayKeys(lambda _: bytes(32)), [Policy(no=1)])
    asker, subject = counter.asker("198.51.100.7"), counter.subject(b"88.118.8/PUMP-1")
    with (directory / "announced").open("r+b") as file:
        told = memoryview(mmap.mmap(file.fileno(), _ANNOUNCED.size)).cast("Q")
    number = told[0] + 2  # the one before may be there, unannounced
    while True:
        counter.append(
            asker, subject, _OUTCOME, number.to_bytes(4, "little"), time.perf_counter_ns()
        )
        told[0] = number  # at once; a Struct writes zeros first, and the kill may come then
        number += 1


def kill(directory: Path, kills: int, seed: int, capacity: int) -> Verdict:
    """Let children write and kill them, one after another; then look at what they left."""
    dice, starts = random.Random(seed), []
    announced = directory / "announced"
    announced.write_bytes(_ANNOUNCED.pack(0))
    for _ in range(kills):
        before = _read(announced)
        _run_one(directory, capacity, announced, dice.uniform(0, LONGEST_SECONDS))
        starts.append((before + 2, _read(announced)))
    settle(directory / "lanes", 0, time.time_ns() // 1_000)
    return _judge(directory / "lanes", starts)


def _run_one(directory: Path, capacity: int, announced: Path, seconds: float) -> None:
    command = [sys.executable, "-m", "loadtest.kill_lane", "--write", str(directory)]
    before = _read(announced)
    with subprocess.Popen([*command, "--capacity", str(capacity)]) as child:
        while _read(announced) == before and child.poll() is None:
            time.sleep(0.001)
        time.sleep(seconds)
        child.kill()


def _read(announced: Path) -> int:
    number: int = _ANNOUNCED.unpack(announced.read_bytes())[0]
    return number


def _judge(lanes: Path, starts: list[tuple[int, int]]) -> Verdict:
    found: Multiset[int] = Multiset()
    faults = []
    for name in lane_files(lanes):
        with LaneReader.open(name.path) as reader:
            nonces, closing = _nonces(reader), reader.closing
        found.update(nonces)
        if closing is None or closing.last != len(nonces):
            faults.append(f"{name.path.name}: {len(nonces)} records, closed as {closing}")
        elif closing.bound or closing.cause not in (Cause.CLOSED, Cause.KILLED):
            faults.append(f"{name.path.name}: something may be lost: {closing}")
    must = {number for first, last in starts for number in range(first, last + 1)}
    may = must | {last + 1 for _, last in starts}
    faults += [f"record {number} is lost" for number in sorted(must - found.keys())]
    faults += [f"record {number} was never appended" for number in sorted(found.keys() - may)]
    faults += [
        f"record {number} is there {times} times" for number, times in found.items() if times > 1
    ]
    return Verdict(len(must), found.total(), faults)


def _nonces(reader: LaneReader) -> list[int]:
    nonces: list[int] = []
    while data := reader.read(len(nonces)).data:
        nonces += [record.nonce for record in decode_all(data)]
    return nonces


if __name__ == "__main__":
    main()
