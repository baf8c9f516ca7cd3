"""Table: one subject that both sides hold, row by row, and the two directions of a row.

A row is a JSON object in canonical form (RFC 8785; whole numbers, texts, lists and objects only), so that both sides
find the same digest.  What is left out is absent: there is no null, no empty text and no empty list.  Going out, a
wrong row is a fault of ours and raises Fault; coming in, it is a verdict, which goes back to the sender.

Public: subjects, fields and cadences (annexes 1 and 2 of the access guide, secondary-node §5.2 and §5.3).  Our
proposal (§5.6): JSON, the English names, keys, lengths, codes, and all of the verdict.
"""

import json
from dataclasses import dataclass
from typing import cast

from sync.channels.cadence import Cadence
from sync.channels.tables.kind import Code, Fault, Field, Row, Together, check_fields, fits

MAX_ROW_BYTES = 1 << 19  # two fit into the megabyte of a batch, with room for what is around them


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the receiver says of a row: accepted, or why not and what to do.  Never with a value of the row in it."""

    code: Code
    field: str = ""
    reason: str = ""

    @property
    def is_accepted(self) -> bool:
        """Whether the row is stored as it came."""
        return self.code is Code.ACCEPTED


ACCEPTED = Verdict(Code.ACCEPTED)


@dataclass(frozen=True, slots=True)
class Table:
    """One table.  `number` is the guide's own; `key` names the fields that tell one row from another."""

    number: str
    name: str
    chinese: str
    cadence: Cadence
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    check_together: Together = fits

    def key_of(self, row: Row) -> str:
        """Return the key of a row: its key field as it is; several are joined by `|`, with `|` and `%` in them
        percent-encoded.  So the identifiers of 表9 keep the order of their bytes."""
        if len(self.key) == 1:
            return str(row[self.key[0]])
        return "|".join([_quoted(str(row[name])) for name in self.key])

    def encode(self, row: Row) -> bytes:
        """Return a row as bytes; a member that is None counts as left out.  Raises Fault."""
        given = {name: value for name, value in row.items() if value is not None}
        self._check(given)
        body = _canonical(given)
        if len(body) > MAX_ROW_BYTES:
            raise _too_large(body)
        return body

    def decode(self, body: bytes) -> Row:
        """Return the row that these bytes hold.  Raises Fault."""
        if len(body) > MAX_ROW_BYTES:
            raise _too_large(body)
        row = _parsed(body)
        self._check(row)
        if _canonical(row) != body:
            raise Fault(Code.NOT_CANONICAL, "", "write the row as canonical JSON, each member once")
        return row

    def check(self, body: bytes, *, key: str) -> Verdict:
        """Return the verdict on a row that came under this key."""
        try:
            row = self.decode(body)
        except Fault as fault:
            return Verdict(fault.code, fault.field, fault.reason)
        if self.key_of(row) != key:
            names = ", ".join(self.key)
            return Verdict(
                Code.WRONG_KEY, self.key[0], f"the key is not that of {names} in the row"
            )
        return ACCEPTED

    def _check(self, row: Row) -> None:
        check_fields(self.fields, row)
        self.check_together(row, "")


def _quoted(text: str) -> str:
    return text.replace("%", "%25").replace("|", "%7C")


def _canonical(row: Row) -> bytes:
    """Canonical JSON; the names of members are ASCII, so that sorting them needs no thought."""
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode()


def _parsed(body: bytes) -> Row:
    try:
        row: object = json.loads(body.decode())
    except (ValueError, RecursionError):  # includes UnicodeDecodeError
        raise Fault(Code.UNREADABLE, "", "this is no JSON in UTF-8") from None
    if not isinstance(row, dict):
        raise Fault(Code.UNREADABLE, "", "a row is a JSON object")
    return cast("Row", row)


def _too_large(body: bytes) -> Fault:
    return Fault(Code.TOO_LARGE, "", f"the row has {len(body)} bytes; {MAX_ROW_BYTES} are allowed")
