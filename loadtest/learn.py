"""What the right answers are: asked once, the ordinary way past every cache, and compared with what was loaded.

Answers carry times of loading, which the corpus does not know; so they are learnt from the node itself, but not the way
that is measured: natively with the authoritative flag, over HTTP with `?auth&publicOnly`, both of which go to Postgres.
Each is held against the corpus: the public values, no more, with their types and data.
"""

import json
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.exchange import (
    AUTHORITATIVE,
    RECURSIVE_CACHE_CERTIFY_PUBLIC_ONLY,
    Exchange,
    frame_length,
    http_exchange,
    http_request,
    native_exchange,
    native_request,
)
from loadtest.generator_http import response_splitter
from loadtest.streams import Address, StreamGenerator, WrongAnswer

CONNECTIONS = 64
DATAGRAM_BYTES = 512
_HOST = re.compile(rb"(\r\nHost: )[^\r]*")
_LABEL = re.compile(rb"^GET /api/handles/(ecode|oid|gs1|did):", re.IGNORECASE)
_PUBLIC_READ_AT = 2  # of "1110": admin read, admin write, public read, public write


class LearningError(RuntimeError):
    """The node's answers are not those of the corpus."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some records of a corpus, as loaded, in random order."""

    records: tuple[dict[str, Any], ...]

    @property
    def handles(self) -> list[bytes]:
        """Their handles in the stored spelling."""
        return [record["handle"].encode() for record in self.records]


def draw(path: Path, count: int, seed: int = 1) -> Sample:
    """Draw up to `count` object records of an NDJSON corpus, each at most once."""
    with path.open("rb") as lines:
        kept = _reservoir((line for line in lines if b'"0.NA/' not in line[:24]), count, seed)
    return Sample(tuple(json.loads(line) for line in kept))


def _reservoir(lines: Iterable[bytes], count: int, seed: int) -> list[bytes]:
    source, kept = random.Random(seed), []
    for number, line in enumerate(lines):
        if number < count:
            kept.append(line)
        elif (place := source.randrange(number + 1)) < count:
            kept[place] = line
    source.shuffle(kept)
    return kept


def learn_native(address: Address, sample: Sample) -> list[Exchange]:
    """Return an exchange for each record.  Raises LearningError when an answer lacks what was loaded."""
    flags = RECURSIVE_CACHE_CERTIFY_PUBLIC_ONLY | AUTHORITATIVE
    answers = ask_native(
        address, [native_request(handle, flags=flags) for handle in sample.handles]
    )
    exchanges = []
    for record, answer in zip(sample.records, answers, strict=True):
        _refuse(record, missing_natively(record, answer), answer)
        exchanges.append(native_exchange(native_request(record["handle"].encode()), answer))
    return exchanges


def ask_native(address: Address, requests: Sequence[bytes]) -> list[bytes]:
    """Return the answer to each request, whatever it says."""
    answers = [b""] * len(requests)

    def keep(data: bytes, number: int) -> bool:
        if len(data) < 20 or len(data) < frame_length(data):
            return False
        answers[number] = data
        return True

    StreamGenerator(address, requests, keep, connections=CONNECTIONS, depth=1).run(1e9, once=True)
    return answers


def learn_http(address: Address, sample: Sample, query: str = "?auth&publicOnly") -> list[Exchange]:
    """Return an exchange for each record.  Raises LearningError when an answer differs from what was loaded."""
    host = f"{address[0]}:{address[1]}"
    asked = [http_request(handle, host, query) for handle in sample.handles]
    bodies = ask_http(address, asked)
    exchanges = []
    for record, body in zip(sample.records, bodies, strict=True):
        _refuse(record, differs_in_json(record, body), body)
        exchanges.append(http_exchange(http_request(record["handle"].encode(), host), body))
    return exchanges


def relearn_http(address: Address, known: Sequence[Exchange]) -> list[Exchange]:
    """Return the same questions with another server's answers, which must say the same (as JSON, not as bytes)."""
    host = f"{address[0]}:{address[1]}".encode()
    asked = [_HOST.sub(b"\\g<1>" + host, exchange.request, count=1) for exchange in known]
    bodies = ask_http(address, asked)
    for exchange, body in zip(known, bodies, strict=True):
        if json.loads(body) != json.loads(exchange.tail):
            raise LearningError(f"{exchange.request!r}: {body!r} instead of {exchange.tail!r}")
    return [http_exchange(request, body) for request, body in zip(asked, bodies, strict=True)]


def ask_http(address: Address, requests: Sequence[bytes]) -> list[bytes]:
    """Return the body of the answer to each request.  Raises LearningError when a status is not 200."""
    bodies, split = [b""] * len(requests), response_splitter()

    def keep(data: bytes, number: int) -> bool:
        body = split(data)
        if not body:
            return False
        if not data.startswith(b"HTTP/1.1 200"):
            raise WrongAnswer(f"{requests[number]!r}: {data!r}")
        bodies[number] = data[body:]
        return True

    run = StreamGenerator(address, requests, keep, connections=CONNECTIONS, depth=1).run(
        1e9, once=True
    )
    if run.wrong:
        raise LearningError(f"{run.wrong} answers are not 200, such as {run.faults[0]}")
    return bodies


def fits_datagram(exchange: Exchange) -> bool:
    """True when the answer travels in one datagram; the UDP generator asks for no other."""
    return 40 + len(exchange.tail) <= DATAGRAM_BYTES


def is_plain_path(exchange: Exchange) -> bool:
    """True when the path has no percent-encoding."""
    return b"%" not in exchange.request.partition(b" HTTP/1.1")[0]


def is_handle(exchange: Exchange) -> bool:
    """True when the path names a handle, none of the other schemes (whose keys the plain baseline does not know)."""
    return not _LABEL.search(exchange.request)


def _refuse(record: dict[str, Any], fault: str, answer: bytes) -> None:
    if fault:
        raise LearningError(f"{record['handle']}: {fault} in {answer[:2000]!r}")


def _public(record: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        value
        for value in record["values"]
        if value.get("permissions", "1110")[_PUBLIC_READ_AT] == "1"
    ]


def missing_natively(record: dict[str, Any], answer: bytes) -> str:
    """Look for each public value's type and text, with their lengths in front, and count the values."""
    handle = record["handle"].encode()
    public = _public(record)
    body = len(handle).to_bytes(4, "big") + handle + len(public).to_bytes(4, "big")
    if not answer[44:].startswith(body):
        return "another handle or number of values"
    for value in public:
        text = value["data"] if isinstance(value["data"], str) else None
        for part in (value["type"], text):
            if (
                part is not None
                and len(part.encode()).to_bytes(4, "big") + part.encode() not in answer
            ):
                return f"no {part}"
    return ""


def differs_in_json(record: dict[str, Any], body: bytes) -> str:
    """Return how an answer of the Handle JSON API differs from what was loaded, "" when it does not.

    Raises ValueError, KeyError or TypeError for what is no such answer.
    """
    said = json.loads(body)
    if said.get("responseCode") != 1 or said.get("handle") != record["handle"]:
        return "another handle or response code"
    public = sorted(_public(record), key=lambda value: int(value["index"]))
    if [_essence(value) for value in said["values"]] != [_essence(value) for value in public]:
        return "other values"
    return ""


def _essence(value: dict[str, Any]) -> tuple[object, ...]:
    data = value["data"]
    text = data if isinstance(data, str) else data["value"]
    return int(value["index"]), value["type"], text
