"""Submissions: what a log sends to a witness, and what comes back (C2SP tlog-witness, `add-checkpoint`).

A submission is the size that the log believes the witness has cosigned last, the proof that this tree begins the new
one, and the new checkpoint, signed.  Witness and client are made from the same two forms.
"""

from dataclasses import dataclass
from hashlib import sha256

from node.ledger.checkpoint import parse_size
from node.ledger.keys import NoteError, from_base64, to_base64
from node.ledger.note import MAX_SIGNATURES, Note, Signature
from node.ledger.tlog import HASH_BYTES, MAX_PROOF_HASHES

ADD_PATH = "/add-checkpoint"
SIZE_TYPE = "text/x.tlog.size"  # of the body of a 409
MAX_SUBMISSION_BYTES = 65_536  # 63 hashes and a checkpoint with 64 signatures are a fourth of it
MAX_ANSWER_BYTES = 65_536

_OLD = "old "


@dataclass(frozen=True, slots=True)
class Submission:
    """An old size, the hashes of a consistency proof, and a signed checkpoint.  Raises NoteError for what is none."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    def __post_init__(self) -> None:
        parse_size(str(self.old))
        if len(self.proof) > MAX_PROOF_HASHES:
            raise NoteError(f"a proof has at most {MAX_PROOF_HASHES} hashes")
        if any(len(hash_) != HASH_BYTES for hash_ in self.proof):
            raise NoteError(f"a hash of a proof has {HASH_BYTES} bytes")

    @classmethod
    def parse(cls, data: bytes) -> "Submission":
        """Read the body of a request.  Raises NoteError."""
        if len(data) > MAX_SUBMISSION_BYTES:
            raise NoteError(f"a submission has at most {MAX_SUBMISSION_BYTES} bytes")
        head, blank, note = data.partition(b"\n\n")
        if not blank:
            raise NoteError("a submission has an empty line in front of its checkpoint")
        try:
            first, *hashes = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise NoteError("a submission is ASCII in front of its checkpoint") from error
        if not first.startswith(_OLD):
            raise NoteError("a submission begins with the old size: old <size>")
        old = parse_size(first.removeprefix(_OLD))
        return cls(old, tuple(map(from_base64, hashes)), Note.parse(note))

    def encode(self) -> bytes:
        """Return the body of a request."""
        lines = (f"{_OLD}{self.old}", *map(to_base64, self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.note.encode()


def parse_cosignatures(body: bytes) -> tuple[Signature, ...]:
    """Read what a witness answers: lines of signatures, not checked yet.  Raises NoteError."""
    try:
        lines = body.decode().split("\n")
    except UnicodeDecodeError as error:
        raise NoteError("the answer of a witness is UTF-8") from error
    if lines.pop() or not lines:
        raise NoteError("the answer of a witness is one or more lines")
    if len(lines) > MAX_SIGNATURES:
        raise NoteError(f"the answer of a witness has at most {MAX_SIGNATURES} lines")
    return tuple(map(Signature.parse, lines))


def parse_known_size(body: bytes) -> int:
    """Read the body of a 409: the size that the witness has cosigned last.  Raises NoteError."""
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError as error:
        raise NoteError("a size is a decimal number") from error
    return parse_size(text.removesuffix("\n"))


def origin_hash(origin: str) -> str:
    """Return the name by which a witness publishes what it cosigned of a log."""
    return sha256(origin.encode()).hexdigest()
