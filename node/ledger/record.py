"""The record: 64 bytes for one answered request, as a lane holds them and a block's body repeats them.

Little-endian, in the order of `Record`, and a CRC-32 over the 60 bytes before it.  The CRC begins with the CRC-32 of
lane and epoch, which differs between any two epochs of a lane: bytes of an earlier use never validate in a later one.

Laws of `scan`.  What it returns begins right after the record asked for, has no hole, and ends before the first bytes
that are not the next record; nothing behind those is ever returned.  It may return too little, never too much.
"""

import struct
import sys
from array import array
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from itertools import repeat
from typing import NamedTuple
from zlib import crc32

RECORD_BYTES = 64
BODY_BYTES = 60  # of a record, before its CRC
CLASS_AT, PROTO_AT = 20, 21  # bytes of a record; who only counts slices
MAX_PROTO = 0xFF
MAX_RESULT = 0xFFFF
MAX_FLAGS = 0xFFFF
UNKNOWN_PREFIX = 0  # no registered prefix
PENDING_PREFIX = 0xFFFF_FFFF  # its number was not known yet
OTHER_AGENT = 0xFFFF  # a user agent without a row in the dictionary

BODY_LAYOUT = struct.Struct("<QQIIQ12sIIHH4s")
"""The same 60 bytes in eleven pieces, for who appends: seq, t_us, mono_ms, `head`, id_tag, client and net tag,
prefix_no, `rule`, flags, ua, nonce (the first four of as many bytes as there are)."""

CRC_LAYOUT = struct.Struct("<60sI")
TAGS_LAYOUT = struct.Struct("<QI")  # client_tag, net_tag
_RECORD = struct.Struct("<QQIBBHQQIIHHHHII")
_SEED = struct.Struct("<HI")
_SEQ_AND_CRC = struct.Struct("<Q52xI")
_ZERO = b"\0"


class Class(IntEnum):
    """What an answer counts as.  Decided when the request comes in; a caller can only put itself out of PRODUCTION."""

    PRODUCTION = 0
    TEST = 1  # an announced campaign
    SELF = 2  # the node's own networks: probes, health checks, other nodes of ours
    ROBOT = 3
    SUSPECT = 4  # more than the rate rule allows
    RESERVED = 5


class Proto(IntEnum):
    """How the question came."""

    HTTP_JSON = 1
    HTTP_PAGE = 2  # a redirect, or a page
    UDP = 3
    TCP = 4
    NATIVE_HTTP = 5
    BATCH = 6  # one item of many in one request
    LINKSET = 7


class RecordFlag(IntFlag):
    """What else is known of an answer."""

    SUCCESS = 1
    FROM_CACHE = 2
    RECURSION = 4  # on behalf of another node
    AUTHENTICATED = 8
    NONCE_SENT = 16  # the client sent a request id; else the nonce is random
    NONCE_SEEN = 32
    CLOCK_STEPPED = 64  # wall clock and monotonic clock have come apart in this epoch
    CLOSED_EARLY = 128
    PREFIX = 256  # a prefix was looked up, not an identifier of an object


class Record(NamedTuple):
    """One record.  `seq` counts from 1 in its lane and epoch; `t_us` is µs since 1970 UTC, `mono_ms` ms since the
    epoch was opened; tags are those of `node.ledger.tags`, `policy` and `campaign` numbers of leaves, `ua` and
    `prefix_no` rows of the dictionary.  `class_` and `proto` may hold numbers that a later version gave out.
    """

    seq: int
    t_us: int
    mono_ms: int
    class_: int
    proto: int
    result: int
    id_tag: int
    client_tag: int
    net_tag: int
    prefix_no: int
    policy: int
    campaign: int
    flags: int
    ua: int
    nonce: int

    @property
    def is_success(self) -> bool:
        """True when the question was answered with what it asked for."""
        return bool(self.flags & RecordFlag.SUCCESS)


class Scanned(NamedTuple):
    """What `scan` accepts: whole records, one after another, and how many bytes behind them are not empty.

    `torn` reaches up to the last byte that is not zero.  In a lane that is being written it means nothing.
    """

    data: bytes
    torn: int

    @property
    def records(self) -> int:
        """How many records there are."""
        return len(self.data) // RECORD_BYTES


def seed_of(lane: int, epoch: int) -> int:
    """Return what the CRC of every record of this epoch begins with."""
    return crc32(_SEED.pack(lane, epoch))


def encode(record: Record, seed: int) -> bytes:
    """Return the 64 bytes.  Raises struct.error when a number does not fit its field."""
    body = _RECORD.pack(*record, 0)[:BODY_BYTES]
    return CRC_LAYOUT.pack(body, crc32(body, seed))


def decode(data: bytes) -> Record:
    """Return the record in these 64 bytes; `scan` says whether they are one.  Raises struct.error for other lengths."""
    return Record(*_RECORD.unpack(data)[:-1])


def decode_all(data: bytes) -> Iterator[Record]:
    """Decode records that stand one after another."""
    return (Record(*fields[:-1]) for fields in _RECORD.iter_unpack(data))


def numbers(kind: str, data: bytes) -> "array[int]":
    """Return records as unsigned numbers of 64 (`Q`) or 32 bits (`I`): a field is each 8th, or each 16th of them.

    So a column is a slice, and costs next to nothing.  Raises ValueError for bytes that are no whole numbers.
    """
    found = array(kind, data)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def first_bad(data: bytes, lane: int, epoch: int, first: int) -> int | None:
    """Return the number of the first record that is not whole, or not the one that belongs there; None: all do.

    `data` has whole records, and begins with that number.
    """
    counted, said = numbers("Q", data)[0::8], numbers("I", data)[15::16]
    bodies = (body for body, _ in CRC_LAYOUT.iter_unpack(data))
    found = array("I", map(crc32, bodies, repeat(seed_of(lane, epoch))))
    expected = array("Q", range(first, first + len(counted)))
    if counted == expected and found == said:
        return None
    rows = zip(counted, expected, found, said, strict=True)
    return next(first + place for place, (a, b, c, d) in enumerate(rows) if a != b or c != d)


def scan(data: bytes, lane: int, epoch: int, after_seq: int = 0) -> Scanned:
    """Return the records that follow number `after_seq`, whose bytes `data` begins behind."""
    end = _valid_end(data, seed_of(lane, epoch), after_seq)
    return Scanned(data[:end], len(data[end:].rstrip(_ZERO)))


def _valid_end(data: bytes, seed: int, seq: int) -> int:
    view, end = memoryview(data), 0
    whole = len(data) - len(data) % RECORD_BYTES
    for found, checked in _SEQ_AND_CRC.iter_unpack(view[:whole]):
        seq += 1
        if found != seq or checked != crc32(view[end : end + BODY_BYTES], seed):
            break
        end += RECORD_BYTES
    return end
