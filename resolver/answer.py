"""Question, Stored, Answer: what is asked, what the tiers keep, and what the service decided.

Outcomes are values (`Status`); only failures are exceptions.  `Stored` is a plain tuple on purpose: hundreds of
thousands of them live in memory, and the garbage collector does not have to walk tuples of bytes and integers.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import NamedTuple

from resolver.identifier import Identifier
from resolver.wire import HandleValue

MAX_TTL_SECONDS = 172_800  # nobody caches longer than two days (spec: Handle clients ignore more)
NEGATIVE_TTL_SECONDS = 60


class Tier(StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    REDIS = "redis"
    POSTGRES = "postgres"
    NONE = "none"  # decided without a record: not ours, busy, malformed


class Status(Enum):
    """What the service decided.  Each edge has one table from these to its own codes."""

    FOUND = "found"
    NO_SUCH_HANDLE = "no_such_handle"
    INVALID_HANDLE = "invalid_handle"
    NO_SUCH_VALUE = "no_such_value"
    SERVICE_REFERRAL = "service_referral"
    PREFIX_REFERRAL = "prefix_referral"
    NOT_RESPONSIBLE = "not_responsible"
    AUTHENTICATION_NEEDED = "authentication_needed"
    NOT_PERMITTED = "not_permitted"
    UNAVAILABLE = "unavailable"


class Stored(NamedTuple):
    """A record as the tiers keep it: its public values, encoded once when it was written.

    `serial` is the change serial of the snapshot it was read at: it is true for all changes up to that one.
    `handle` is the stored spelling, or None when there is no such record (a negative answer).
    `wire` is the count and the public values in stored order; `json` the JSON array of the same, by index.
    `restricted` says that the record has values that the public may not read; those are in Postgres only.
    `version` counts the record's writes.  A negative answer whose `json` is not empty is a tombstone: an object that
    says since when (`at`, epoch second) and why (`reason`) the record is gone.
    """

    serial: int
    handle: bytes | None
    ttl_seconds: int
    restricted: bool
    wire: bytes
    json: bytes
    tier: Tier
    version: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: an identifier, and which of its values (types and indexes form a union; none means all).

    `types` are as on the wire (UTF-8; ASCII case does not matter; a trailing dot asks for the subtree).
    `authoritative` skips the caches.
    """

    identifier: Identifier
    types: tuple[bytes, ...] = ()
    indexes: tuple[int, ...] = ()
    public_only: bool = True
    authoritative: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service decided.

    FOUND: `stored` is the record; `values` is None when all its public values are the answer (then the encoded bytes
    serve as they are), else the chosen ones.  Referrals: `values` are the HS_SITE / HS_SERV values, `referral` the
    handle they belong to (empty for a prefix referral).
    """

    status: Status
    tier: Tier = Tier.NONE
    stored: Stored | None = None
    values: tuple[HandleValue, ...] | None = None
    referral: bytes = b""
    message: str = ""
