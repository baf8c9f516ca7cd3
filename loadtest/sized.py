"""Sized records: answers of a length that is known beforehand, for what an answer's size costs.

A record has one value of type DESC.  A native answer is envelope 20, header 24, handle with its length, the number of
values, the value, and four bytes of no credential (RFC 3651 §3.1, RFC 3652 §2).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from loadtest.learn import Sample

PREFIX = "88.118.8"  # of the corpus, which homes it
TYPE = "DESC"
_ROUND_VALUE = 4 + 4 + 1 + 4 + 1 + 4 + 4 + 4  # index, time, two of ttl, rights, lengths, references
_ROUND_HANDLE = 20 + 24 + 4 + 4 + 4  # envelope, header, length of the handle, count, no credential
_TEXT = "0123456789abcdef"

SIZES = {"small": 150, "datagram": 512, "pieces": 1_400, "4k": 4_096}
"""Bytes of a native answer: few; as many as one datagram holds; several datagrams; a long one."""


def text_bytes(handle: str, answer_bytes: int) -> int:
    """Return how long the value must be; raises ValueError when even an empty one is too long."""
    found = answer_bytes - _ROUND_HANDLE - _ROUND_VALUE - len(handle.encode()) - len(TYPE)
    if found < 1:
        raise ValueError(f"no answer about {handle} has {answer_bytes} bytes")
    return found


def sized_records(name: str, answer_bytes: int, count: int) -> list[dict[str, object]]:
    """Return so many records whose native answers have so many bytes."""
    handles = [f"{PREFIX}/SIZED-{name.upper()}-{number:06d}" for number in range(count)]
    return [
        {
            "handle": handle,
            "values": [{"index": 1, "type": TYPE, "data": _text(text_bytes(handle, answer_bytes))}],
        }
        for handle in handles
    ]


def write_records(path: Path, records: Sequence[dict[str, object]]) -> Sample:
    """Write records as NDJSON, and return them as a sample."""
    path.write_text("".join(json.dumps(each) + "\n" for each in records), "utf-8")
    return Sample(tuple(records))


def _text(length: int) -> str:
    return (_TEXT * (length // len(_TEXT) + 1))[:length]
