"""What the audit ledger adds to an answer: `python -m loadtest.lane_bench [--answers N] [--directory DIR]`.

Processor time of the event loop's thread, in nanoseconds an answer, page faults of the mapped file included.  The
parts take turns within each round, ledger on and off alike, and the best and the middle round are printed; the loop
and the reading of the clock, which an answer needs anyway, are taken off.
"""

import argparse
import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter_ns, thread_time_ns, time_ns
from typing import NamedTuple

from node.ledger.classes import Policy
from node.ledger.counting import Counter
from node.ledger.headers import Headers
from node.ledger.lane import Lane
from node.ledger.lanefile import LaneReader, lane_files
from node.ledger.laneterms import CAPACITY, Clocks, LaneTerms
from node.ledger.parties import outcome
from node.ledger.record import Proto, RecordFlag
from node.ledger.tags import DayKeys, native_nonce

ROUNDS = 9
_SOURCE, _KEY, _REQUEST_ID, _PORT = "198.51.100.7", b"88.118.8/PUMP-1", b"\0\0\x12\x34", 40_000
_NONCE = bytes(4)
_SENDER = _PORT.to_bytes(2, "big")
_BATCH = 64
_READY = RecordFlag.SUCCESS | RecordFlag.FROM_CACHE
_NATIVE = outcome(Proto.UDP, 1, _READY | RecordFlag.NONCE_SENT)
_HTTP = outcome(Proto.HTTP_JSON, 1, _READY)

Work = Callable[[range], None]


class Part(NamedTuple):
    """A name and what is measured under it."""

    name: str
    work: Work


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--answers", type=int, default=100_000, help="in each part of a round")
    parser.add_argument("--directory", type=Path, help="where the lane is written; default: /tmp")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        _measure(Path(directory), given.answers)


def _measure(directory: Path, answers: int) -> None:
    lane = Lane.open(directory, 0, print, terms=LaneTerms(capacity=CAPACITY), clocks=Clocks())
    counter = Counter(lane, DayKeys(lambda _: bytes(32)), [Policy(no=1)])
    parts = [
        Part("(loop and clock)", _clock),
        Part("append alone", _append(counter)),
        Part("nonce of a native request", _nonce),
        Part("native answer, all", _native(counter)),
        Part("http answer, all", _http(counter)),
        Part("http answer with a request id, all", _http_named(counter)),
        Part("answer for an identifier not seen before, all", _strange(counter)),
        Part("native answers, 64 at once", _together(counter)),
    ]
    took: dict[str, list[float]] = {part.name: [] for part in parts}
    for _ in range(ROUNDS):
        for name, work in parts:
            began = thread_time_ns()
            work(range(answers))
            took[name].append((thread_time_ns() - began) / answers)
        counter.tick(time_ns())
    lane.close()
    base = min(took[parts[0].name])
    print(f"{'ns an answer':46} {'best':>7} {'middle':>7}")
    for name, times in took.items():
        off = 0.0 if name == parts[0].name else base
        print(f"{name:46} {min(times) - off:7.0f} {median(times) - off:7.0f}")
    _read(directory)


def _read(directory: Path) -> None:
    """What the sealer pays to read records and check them."""
    records, began = 0, thread_time_ns()
    for name in lane_files(directory):
        with LaneReader.open(name.path) as reader:
            last = 0
            while found := reader.read(last).records:
                last += found
            records += last
    print(f"{'reading and checking a record':46} {(thread_time_ns() - began) / records:7.0f}")


def _clock(turns: range) -> None:
    for _ in turns:
        perf_counter_ns()


def _append(counter: Counter) -> Work:
    party, subject = (counter.asker(_SOURCE), _NONCE, (_NATIVE,)), counter.subject(_KEY)
    append = counter.lane.append

    def work(turns: range) -> None:
        for _ in turns:
            append(party, subject, 0, perf_counter_ns())

    return work


def _nonce(turns: range) -> None:
    for _ in turns:
        perf_counter_ns()
        native_nonce(_PORT, _REQUEST_ID)


def _native(counter: Counter) -> Work:
    asker, subject, outcomes = counter.asker(_SOURCE), counter.subject(_KEY), (_NATIVE,)
    append = counter.lane.append

    def work(turns: range) -> None:
        for _ in turns:
            party = asker, native_nonce(_PORT, _REQUEST_ID), outcomes
            append(party, subject, 0, perf_counter_ns())

    return work


def _together(counter: Counter) -> Work:
    party, subject = (counter.asker(_SOURCE), None, (_NATIVE,)), counter.subject(_KEY)

    def work(turns: range) -> None:
        for _ in turns[::_BATCH]:
            answers = [(party, _SENDER + _REQUEST_ID, subject, 0) for _ in range(_BATCH)]
            counter.append_all(answers, perf_counter_ns())

    return work


def _http(counter: Counter) -> Work:
    asker = counter.http_asker(_SOURCE, Headers(b"gateway/2.1")).asker
    party, subject, append = (asker, None, (_HTTP,)), counter.subject(_KEY), counter.lane.append

    def work(turns: range) -> None:
        for _ in turns:
            append(party, subject, 0, perf_counter_ns())

    return work


def _http_named(counter: Counter) -> Work:
    headers = Headers(b"gateway/2.1", "", b"0f8fad5b-d9cb-469f-a165-70867728950e")
    subject, append = counter.subject(_KEY), counter.append

    def work(turns: range) -> None:
        for _ in turns:
            asker, nonce = counter.http_asker(_SOURCE, headers)
            append(asker, subject, _HTTP, nonce or b"", perf_counter_ns())

    return work


def _strange(counter: Counter) -> Work:
    asker, append, numbers = counter.asker(_SOURCE), counter.append, count()

    def work(turns: range) -> None:
        for _ in turns:
            subject = counter.subject(b"88.118.8/%d" % next(numbers))
            append(asker, subject, _NATIVE, _NONCE, perf_counter_ns())

    return work


if __name__ == "__main__":
    main()
