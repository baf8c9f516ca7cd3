"""Receipts: one record's proof in one file, a C2SP `.tlog-proof` whose `extra` holds what its leaf is hashed from.

    {"leaf": the leaf's line, "path": [base64, …], "record": base64}      path and record only where there is a record

The proof says that the leaf is in the log; `path` says that the record is one of those that the leaf commits to.
Nothing in `extra` is believed: all of it is hashed again.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from node.ledger.block import record_path
from node.ledger.canonical import MAX_NUMBER, CanonicalError, Json, canonical, parse_canonical
from node.ledger.keys import SignatureType
from node.ledger.leaf import MAX_EPOCH, MAX_LANE, Block, Leaf, parse
from node.ledger.note import CHECKS, Check, Note
from node.ledger.proof import LogProof
from node.ledger.quorum import Cosigned, Policy
from node.ledger.record import RECORD_BYTES, Record, decode, scan
from node.ledger.tlog import (
    HashReader,
    ProofError,
    inclusion_proof,
    leaf_hash,
    verify_inclusion,
)


class ReceiptError(ValueError):
    """A receipt cannot be read; the text says why."""


class Name(NamedTuple):
    """What a record is called: `<lane>.<epoch>.<seq>`, and behind that its nonce, eight hexadecimal digits."""

    lane: int
    epoch: int
    seq: int
    nonce: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Name":
        """Read a name.  Raises ReceiptError."""
        parts = text.split(".")
        if not 3 <= len(parts) <= 4 or not all(_is_decimal(part) for part in parts[:3]):
            raise ReceiptError("a receipt is called <lane>.<epoch>.<seq>.<nonce>")
        lane, epoch, seq = map(int, parts[:3])
        if lane > MAX_LANE or epoch > MAX_EPOCH or seq > MAX_NUMBER:
            raise ReceiptError("no record has these numbers")
        if len(parts) == 3:
            return cls(lane, epoch, seq)
        try:
            if len(parts[3]) != _NONCE_DIGITS:
                raise ValueError
            return cls(lane, epoch, seq, int(parts[3], 16))
        except ValueError as error:
            raise ReceiptError("the nonce of a receipt has eight hexadecimal digits") from error

    def __str__(self) -> str:
        nonce = "" if self.nonce is None else f".{self.nonce:08x}"
        return f"{self.lane}.{self.epoch}.{self.seq}{nonce}"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A leaf in the log, and one of the records that it commits to, if it is about one."""

    proof: LogProof
    line: bytes
    record: bytes = b""
    path: tuple[bytes, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> "Receipt":
        """Read a `.tlog-proof` file.  Raises ReceiptError, NoteError."""
        proof = LogProof.parse(data)
        if proof.extra is None:
            raise ReceiptError("this proof has no extra line, so it does not say what it proves")
        try:
            extra = parse_canonical(proof.extra)
        except CanonicalError as error:
            raise ReceiptError(f"the extra line of this proof: {error}") from error
        return cls(proof, *_read_extra(extra))

    def encode(self) -> bytes:
        """Return the file."""
        return self.proof.encode()

    @property
    def leaf(self) -> Leaf:
        """The leaf.  Raises LeafError."""
        return parse(self.line)

    def check(
        self, policy: Policy, checks: Mapping[SignatureType, Check] = CHECKS
    ) -> tuple[Cosigned, Record | None]:
        """Check everything; return the checkpoint with who cosigned it, and the record.

        Raises ProofError, SignatureError, LeafError.
        """
        cosigned = self.proof.verify(leaf_hash(self.line), policy, checks)
        if not self.record:
            return cosigned, None
        leaf = self.leaf
        if not isinstance(leaf, Block):
            raise ProofError(f"a leaf of kind {leaf.kind} commits to no records")
        record = decode(self.record)
        first, last = leaf.sequence
        if scan(self.record, leaf.lane, leaf.epoch, record.seq - 1).records != 1:
            raise ProofError("the record is not whole, or of another epoch")
        if not first <= record.seq <= last:
            raise ProofError(f"record {record.seq} is not among {first} to {last}")
        count = last - first + 1
        hashed = leaf_hash(self.record)
        verify_inclusion(record.seq - first, count, hashed, self.path, leaf.record_root)
        return cosigned, record


def make_receipt(
    index: int, line: bytes, note: Note, size: int, read: HashReader, body: bytes | None, seq: int
) -> Receipt:
    """Return the receipt of a leaf, under the checkpoint of this size, and of its record with this number.

    `body` is that of the block, None when the receipt is of the leaf alone.  Raises ValueError when a number is none.
    """
    record = b""
    path: tuple[bytes, ...] = ()
    if body is not None:
        leaf = parse(line)
        if not isinstance(leaf, Block) or not leaf.sequence[0] <= seq <= leaf.sequence[1]:
            raise ReceiptError(f"this leaf commits to no record {seq}")
        place = seq - leaf.sequence[0]
        record = body[place * RECORD_BYTES : (place + 1) * RECORD_BYTES]
        path = tuple(record_path(body, place))
    extra: dict[str, Json] = {"leaf": line.decode()}
    if record:
        extra |= {"record": _base64(record), "path": [_base64(each) for each in path]}
    proof = LogProof(index, tuple(inclusion_proof(index, size, read)), note, canonical(extra))
    return Receipt(proof, line, record, path)


_NONCE_DIGITS = 8
_MAX_DIGITS = 19


def _is_decimal(text: str) -> bool:
    is_number = text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS
    return is_number and str(int(text)) == text


def _read_extra(extra: Json) -> tuple[bytes, bytes, tuple[bytes, ...]]:
    if not isinstance(extra, dict) or not extra.keys() <= {"leaf", "record", "path"}:
        raise ReceiptError("the extra line of a receipt has leaf, record and path")
    line, record, path = extra.get("leaf"), extra.get("record", ""), extra.get("path", [])
    if not isinstance(line, str) or not isinstance(record, str) or not isinstance(path, list):
        raise ReceiptError("the extra line of a receipt has leaf, record and path")
    try:
        hashes = tuple(b64decode(str(each), validate=True) for each in path)
        data = b64decode(record, validate=True)
    except ValueError as error:
        raise ReceiptError("record and path of a receipt are base64") from error
    if len(data) not in (0, RECORD_BYTES):
        raise ReceiptError(f"a record has {RECORD_BYTES} bytes")
    return line.encode(), data, hashes


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
