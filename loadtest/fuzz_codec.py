"""Fuzz the codec: random and mutated messages through every decoder, whole and in pieces.

`python -m loadtest.fuzz_codec --messages 10000000 --seed 1 --jobs 2`

The laws it checks: nothing but `WireError` comes out; what was decoded encodes to bytes that decode to the same; no
message takes long; memory does not grow.  A finding is printed with its bytes and ends the run with status 1.
"""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter

from resolver.wire import (
    DATAGRAM_BYTES,
    ENVELOPE_BYTES,
    MAX_MESSAGE_BYTES,
    PIECE_BYTES,
    Answer,
    Credential,
    DatagramJoiner,
    Envelope,
    FrameBuffer,
    HandleValue,
    Header,
    IndexesRequest,
    KeyExchange,
    Message,
    NamesAnswer,
    ReferralAnswer,
    Request,
    ResolutionAnswer,
    ResolutionRequest,
    SessionSetup,
    SiteData,
    ValuesRequest,
    WireError,
    decode_admin,
    decode_answer,
    decode_public_key,
    decode_request,
    decode_site,
    decode_values,
    decode_vlist,
    encode_site,
    encode_values,
    split_datagrams,
)

VECTORS = Path(__file__).parents[1] / "tests" / "conformance" / "handle-golden.json"

OPCODES = (1, 2, 100, 101, 102, 103, 104, 105, 200, 201, 300, 302, 400, 401, 402, 2000, 2001)
CODES = (0, 0, 1, 1, 2, 100, 302, 303, 402)
LIES = (0, 1, 2, 255, 2048, 2049, 65_535, 262_144, 1 << 20, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)

SLOWEST_SECONDS = (
    2.0  # of one message; honest work takes 1 ms, a pause of the machine less than this
)
WARM_SHARE = 0.25  # of the messages, after which memory must not grow
MAX_GROWTH_BYTES = 16 * 1024 * 1024
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class FuzzError(Exception):
    """The codec broke one of its laws; the message says which, and holds the bytes."""


@dataclass(slots=True)
class Tally:
    """What one job did."""

    messages: int = 0
    parsed: int = 0
    refused: int = 0
    joined: int = 0
    framed: int = 0
    slowest_seconds: float = 0.0
    growth_bytes: int = 0
    seconds: float = 0.0


def read_corpus(vectors: Path = VECTORS) -> list[bytes]:
    """Return the recorded datagrams and frames, and a few messages made here of kinds that were not recorded."""
    recorded = json.loads(vectors.read_text("utf-8"))["vectors"]
    pieces: list[bytes] = []
    for vector in recorded:
        for side in ("request_hex", "response_hex"):
            found = vector.get(side, [])
            pieces += map(bytes.fromhex, [found] if isinstance(found, str) else found)
    values = tuple(HandleValue(index, b"URL", b"x" * 20) for index in range(1, 300))
    return [
        *pieces,
        _message(1, 1, ResolutionAnswer(b"20.500.12345/many", values).encode()),
        _message(2000, 0, ResolutionRequest(b"user", (), (b"password",)).encode()),
        _message(103, 0, IndexesRequest(b"20.500.12345/x", (1, 2, 100)).encode()),
        _message(400, 0, SessionSetup(3, 60, b"0.NA/a", 300, b"", b"0.NA/b", 301).encode()),
        _message(402, 0, KeyExchange(b"k" * 128).encode()),
        _message(1, 302, ReferralAnswer(b"0.NA/a", values[:2]).encode()),
        _message(302, 1, NamesAnswer((b"0.NA/a", b"0.NA/b")).encode()),
    ]


def _message(opcode: int, code: int, body: bytes) -> bytes:
    return Message(Envelope(2, 11, 2, 11, 0, 7), Header(opcode, code), body).encode()


class Mutator:
    """Makes messages out of a corpus: mostly mutated ones, some random bytes, a few left as they are."""

    def __init__(self, corpus: Sequence[bytes], seed: int) -> None:
        self._corpus = corpus
        self._random = Random(seed)
        self._mutations: tuple[Callable[[bytearray], bytearray], ...] = (
            self._flip,
            self._truncate,
            self._splice,
            self._lie,
            self._lie,
            self._relabel,
        )

    def make(self) -> bytes:
        """Return the next message."""
        kind = self._random.random()
        if kind < 0.04:
            return self._random.randbytes(self._random.randrange(700))
        data = bytearray(self._random.choice(self._corpus))
        if kind < 0.08:
            return bytes(data)
        for _ in range(self._random.choice((1, 1, 2, 4))):
            data = self._random.choice(self._mutations)(data)
        return bytes(self._mend(data) if kind < 0.7 else data)

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Cut bytes at random places."""
        start = 0
        while start < len(data):
            end = start + self._random.choice((1, 3, 19, 20, 21, 100, 1500, 1500, 1 << 18))
            yield data[start:end]
            start = end

    def shuffled(self, datagrams: list[bytes]) -> list[bytes]:
        """Return datagrams in another order, one of them perhaps spoilt, lost or doubled."""
        self._random.shuffle(datagrams)
        fate = self._random.random()
        if fate < 0.1:
            datagrams.pop()
        elif fate < 0.2:
            datagrams.append(datagrams[0])
        elif fate < 0.5:
            datagrams[0] = bytes(self._lie(bytearray(datagrams[0])))
        return datagrams

    def _flip(self, data: bytearray) -> bytearray:
        for _ in range(self._random.choice((1, 1, 3, 8)) if data else 0):
            data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)
        return data

    def _truncate(self, data: bytearray) -> bytearray:
        return data[: self._random.randrange(len(data) + 1)]

    def _splice(self, data: bytearray) -> bytearray:
        other = self._random.choice(self._corpus)
        start = self._random.randrange(len(other) + 1)
        return data[: self._random.randrange(len(data) + 1)] + other[start:]

    def _lie(self, data: bytearray) -> bytearray:
        """Write a number where a length or count may stand: mostly where small numbers are."""
        if len(data) < ENVELOPE_BYTES:
            return data
        start = data.find(b"\0\0", self._random.randrange(len(data)))
        start = start if 0 <= start <= len(data) - 4 else self._random.randrange(len(data) - 3)
        data[start : start + 4] = self._random.choice(LIES).to_bytes(4, "big")
        return data

    def _relabel(self, data: bytearray) -> bytearray:
        """Make the body another kind's by its opcode and response code."""
        if len(data) >= ENVELOPE_BYTES + 8:
            start, choose = ENVELOPE_BYTES, self._random.choice
            data[start : start + 4] = choose(OPCODES).to_bytes(4, "big")
            data[start + 4 : start + 8] = choose(CODES).to_bytes(4, "big")
        return data

    def _mend(self, data: bytearray) -> bytearray:
        """Set the lengths of envelope and body right, so that the inner decoders see the rest."""
        content = len(data) - ENVELOPE_BYTES
        if content >= 0:
            data[16:20] = content.to_bytes(4, "big")
        if content >= 28:
            data[40:44] = (content - 28).to_bytes(4, "big")
            data[-4:] = bytes(4)
        return data


class Target:
    """Every decoder, fed one message after the other."""

    def __init__(self, mutator: Mutator) -> None:
        self._mutator = mutator
        self._frames = FrameBuffer()
        self._joiner = DatagramJoiner(max_messages=32)
        self.tally = Tally()

    def take(self, data: bytes) -> None:
        """Put bytes through everything."""
        tally = self.tally
        tally.messages += 1
        try:
            decode_everything(data)
            tally.parsed += 1
        except WireError:
            tally.refused += 1
        self._stream(data)
        self._datagrams(data)

    def _stream(self, data: bytes) -> None:
        for piece in self._mutator.pieces(data):
            self._frames.feed(piece)
            try:
                while self._frames.next_message() is not None:
                    self.tally.framed += 1
            except WireError:
                self._frames = FrameBuffer()
                return
        if len(self._frames) > MAX_MESSAGE_BYTES + ENVELOPE_BYTES:
            raise FuzzError(f"a stream holds {len(self._frames)} bytes")
        if self.tally.messages % 4 == 0 and len(self._frames):
            self._frames = (
                FrameBuffer()
            )  # a new connection, so that lying lengths do not swallow all

    def _datagrams(self, data: bytes) -> None:
        try:
            datagrams = split_datagrams(data)
        except WireError:
            datagrams = [data]
        for datagram in self._mutator.shuffled(datagrams) if len(datagrams) > 1 else datagrams:
            try:
                joined = self._joiner.add("fuzz", datagram, self.tally.messages / 1000)
            except WireError:
                continue
            self.tally.joined += joined is not None and len(joined) > DATAGRAM_BYTES
        if self._joiner.waiting_bytes > 32 * PIECE_BYTES * 600:
            raise FuzzError(f"the joiner holds {self._joiner.waiting_bytes} bytes")


def decode_everything(data: bytes) -> None:
    """Decode a message, its body, credential and typed data; check that what was decoded comes back.

    Raises WireError when the bytes are refused, FuzzError when something does not come back.
    """
    message = Message.decode(data)
    _insist(Message.decode(message.encode()), message, data)
    if message.credential:
        credential = Credential.decode(message.credential)
        _insist(Credential.decode(credential.encode()), credential, data)
    if message.is_request:
        request = decode_request(message)
        _insist(request.encode(), message.body, data)
        body: Request | Answer = request
    else:
        _digest, body = decode_answer(message)
        _insist(body, _again(message, body), data)
    if isinstance(body, ValuesRequest | ResolutionAnswer):
        _insist(decode_values(encode_values(body.values)), body.values, data)
        for value in body.values:
            decode_typed(value)


def decode_typed(value: HandleValue) -> None:
    """Decode what the data of a value means, whatever its type says.  A refusal is right here: most data is not so."""
    for decode in (decode_admin, decode_vlist, decode_site, decode_public_key):
        try:
            decode(value.data)
        except WireError:
            continue


def _again(message: Message, body: Answer) -> Answer:
    digest, _body = message.split_digest()
    encoded = encode_site(body) if isinstance(body, SiteData) else body.encode()
    whole = (digest.encode() if digest else b"") + encoded
    _digest, again = decode_answer(Message(message.envelope, message.header, whole))
    return again


def _insist(first: object, second: object, data: bytes) -> None:
    if first != second:
        raise FuzzError(f"{first!r} is not {second!r}: {data.hex()}")


def resident_bytes() -> int:
    """Return the memory of this process that is in RAM."""
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * PAGE_BYTES


def run(messages: int, seed: int, vectors: Path = VECTORS) -> Tally:
    """Fuzz with so many messages.  Raises FuzzError at the first finding."""
    mutator = Mutator(read_corpus(vectors), seed)
    target = Target(mutator)
    tally, began = target.tally, perf_counter()
    warm, resident = int(messages * WARM_SHARE), resident_bytes()
    for number in range(messages):
        if number == warm:
            resident = resident_bytes()
        data = mutator.make()
        started = perf_counter()
        try:
            target.take(data)
        except FuzzError:
            raise
        except Exception as fault:  # the top of the job: whatever comes is the finding
            raise FuzzError(f"{traceback.format_exc()}\n{data.hex()}") from fault
        tally.slowest_seconds = max(tally.slowest_seconds, perf_counter() - started)
    tally.seconds = perf_counter() - began
    tally.growth_bytes = max(0, resident_bytes() - resident)
    if tally.slowest_seconds > SLOWEST_SECONDS:
        raise FuzzError(f"one message took {tally.slowest_seconds:.2f} s")
    if tally.growth_bytes > MAX_GROWTH_BYTES:
        raise FuzzError(f"memory grew by {tally.growth_bytes} bytes")
    return tally


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the jobs and print what they did; return the exit status."""
    parser = argparse.ArgumentParser(prog="fuzz_codec", description=__doc__.splitlines()[0])
    parser.add_argument("--messages", type=int, default=100_000, help="in all (default 100000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--vectors", type=Path, default=VECTORS, help="recorded exchanges (JSON)")
    options = parser.parse_args(arguments)
    try:
        report(run_jobs(options.messages, options.seed, options.jobs, options.vectors))
    except FuzzError as finding:
        print(f"fuzz_codec: {finding}", file=sys.stderr)
        return 1
    return 0


def run_jobs(messages: int, seed: int, jobs: int, vectors: Path) -> list[Tally]:
    """Share the messages out to so many processes, each with a seed of its own.  Raises FuzzError."""
    share = -(-messages // jobs)
    if jobs == 1:
        return [run(share, seed * 1000, vectors)]
    with ProcessPoolExecutor(jobs) as pool:
        futures = [pool.submit(run, share, seed * 1000 + job, vectors) for job in range(jobs)]
        return [future.result() for future in futures]


def report(tallies: Sequence[Tally]) -> None:
    """Print the sums of the jobs in one line."""
    messages = sum(tally.messages for tally in tallies)
    seconds = max(tally.seconds for tally in tallies)
    print(
        f"{messages} messages in {seconds:.1f} s ({messages / seconds:.0f}/s): "
        f"{sum(tally.parsed for tally in tallies)} parsed, "
        f"{sum(tally.refused for tally in tallies)} refused, "
        f"{sum(tally.framed for tally in tallies)} framed, "
        f"{sum(tally.joined for tally in tallies)} joined; "
        f"slowest {1000 * max(tally.slowest_seconds for tally in tallies):.1f} ms, "
        f"memory +{max(tally.growth_bytes for tally in tallies) // 1024} KiB, no finding"
    )


if __name__ == "__main__":
    sys.exit(main())
