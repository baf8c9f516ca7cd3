"""Judging: what the top-level node takes, and what it rejects, with a code for the program and a reason for a person.

In this order: what a person has it reject (`faults.Refusal`); the table's own verdict on a row; rules across rows, ours
since the real ones are not public.  A route (表7) needs a prefix that EPP granted; an enterprise (表6) that
names its `entId` must be known by it.  A deletion is rejected by hand only.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import orjson

from node.toplevel.faults import Refusal
from sync.change import MAX_REASON_CHARACTERS, Place
from sync.channels.tables import ENTERPRISE, ENTERPRISE_ROUTE, TABLES

NOT_GRANTED = "not_granted"
UNKNOWN_ENTERPRISE = "unknown_enterprise"
UNKNOWN_TABLE = "unknown_table"
BY_HAND = "by_hand"
CORRECTION = "correction"
ACROSS = (NOT_GRANTED, UNKNOWN_ENTERPRISE)  # that may pass when the registry learns more

_REGISTERED_TYPES = frozenset({"handle", "vaa"})  # whose prefixes EPP gives out


class Objection(NamedTuple):
    """Why a row is not taken."""

    code: str
    reason: str


class Register(Protocol):
    """What EPP knows; asked from the thread that writes rows."""

    def is_granted(self, prefix: str) -> bool:
        """True when the prefix, or one that it lies below, was granted."""

    def knows(self, ent_id: str) -> bool:
        """True for the number of an enterprise."""


class Judge:
    """The rules.  `refusals` gives those of the moment; `checks_across` switches the rules across rows."""

    def __init__(
        self,
        register: Register,
        refusals: Callable[[], tuple[Refusal, ...]],
        *,
        checks_across: bool,
    ) -> None:
        self._register = register
        self._refusals = refusals
        self.checks_across = checks_across

    def __call__(self, place: Place, body: bytes | None) -> Objection | None:
        """Return what speaks against a row, or against its deletion; None: it is taken."""
        for refusal in self._refusals():
            if refusal.fits(place):
                return _objection(BY_HAND, "", refusal.reason)
        if body is None:
            return None
        table = TABLES.get(place.table)
        if table is None:
            return _objection(UNKNOWN_TABLE, "", f"there is no table {place.table}")
        verdict = table.check(body, key=place.key)
        if not verdict.is_accepted:
            return _objection(verdict.code, verdict.field, verdict.reason)
        return self._across(place.table, body) if self.checks_across else None

    def _across(self, table: str, body: bytes) -> Objection | None:
        """What speaks against a row that is right by itself."""
        if table == ENTERPRISE_ROUTE.number:
            row = orjson.loads(body)
            if row["identifier_type"] in _REGISTERED_TYPES and not self._register.is_granted(
                row["prefix"]
            ):
                return _objection(
                    NOT_GRANTED, "prefix", "this prefix was not granted; register it by EPP first"
                )
        if table == ENTERPRISE.number:
            ent_id = orjson.loads(body).get("upstream_id")
            if ent_id and not self._register.knows(ent_id):
                return _objection(
                    UNKNOWN_ENTERPRISE, "upstream_id", "no enterprise has this entId here"
                )
        return None


def _objection(code: str, field: str, reason: str) -> Objection:
    said = f"{field}: {reason}" if field else reason
    return Objection(str(code), said[:MAX_REASON_CHARACTERS])
