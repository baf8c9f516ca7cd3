"""Acknowledging: a witness that is the top-level node confirms what a campaign was counted at.  Our proposal.

A *claim* is the closing leaf of a campaign and the last block before it, each with its proof of inclusion in a tree
that the witness has cosigned.  The witness believes nothing else: it recomputes the root from its own memory, keeps
what the leaves say, and signs it, so that neither side can say later that it was another number.

    idnode acknowledgement                always
    log.example/ledger                    origin
    1234 2/nIdUfE3OUfXDYNKAoZeY9E…        size and root of the tree that was cosigned
    campaign 1 leaf 1230                  number, and the index of the closing leaf
    observed 1000000                      records
    protocol http_json 333333             … of each protocol, in the order of their names
    totals 0 1000000 4000 0 0 0           successes per class, over the whole log up to the last block

It is signed like a cosignature/v1, with the key of the witness.  No checkpoint has such a text: its second line would
be a number.
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from node.ledger.canonical import CanonicalError, Json, canonical, parse_canonical
from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.keys import NoteError, from_base64, to_base64
from node.ledger.leaf import Acknowledgement, Block, Campaign, Day, LeafError, parse
from node.ledger.note import Note, cosigned_at
from node.ledger.tlog import HashReader, ProofError, inclusion_proof, leaf_hash, verify_inclusion

CLAIM_PATH = "/add-count"
COUNTS_PATH = "/counts"
MAX_CLAIM_BYTES = 65_536  # two leaves and twice 63 hashes are a fourth of it

_US = 1_000_000
_HEAD = "idnode acknowledgement"
_TEXT = re.compile(
    rf"{_HEAD}\n(?P<origin>[^\n]+)\n(?P<size>[0-9]{{1,19}}) (?P<root>[A-Za-z0-9+/]{{43}}=)\n"
    r"campaign (?P<campaign>[0-9]{1,5}) leaf (?P<leaf>[0-9]{1,19})\nobserved (?P<observed>[0-9]{1,19})\n"
    r"(?P<protocols>(?:protocol [a-z_]{1,20} [0-9]{1,19}\n){0,16})totals (?P<totals>[0-9]{1,19}(?: [0-9]{1,19}){5})\n",
    re.ASCII,
)


class ClaimError(ValueError):
    """What is claimed does not follow from what was cosigned; the text says why."""


class Proven(NamedTuple):
    """A leaf, its index, and its path to the root of the claim's tree."""

    at: int
    line: bytes
    proof: tuple[bytes, ...]


class Claim(NamedTuple):
    """What is to be acknowledged, of the tree of `size` leaves of a log."""

    origin: str
    size: int
    closing: Proven
    block: Proven

    def encode(self) -> bytes:
        """Return the body of a request, canonical JSON."""
        members: dict[str, Json] = {"origin": self.origin, "size": self.size}
        for name, each in (("closing", self.closing), ("block", self.block)):
            members[name] = {
                "index": each.at,
                "leaf": each.line.decode(),
                "proof": [to_base64(hash_) for hash_ in each.proof],
            }
        return canonical(members)

    @classmethod
    def parse(cls, body: bytes) -> "Claim":
        """Read the body of a request.  Raises ClaimError."""
        try:
            match parse_canonical(body):
                case {
                    "origin": str() as origin,
                    "size": int() as size,
                    "closing": closing,
                    "block": block,
                }:
                    return cls(origin, size, _proven(closing), _proven(block))
        except (CanonicalError, NoteError) as error:
            raise ClaimError(str(error)) from error
        raise ClaimError("a claim has origin, size, closing and block")


class Acknowledged(NamedTuple):
    """What was acknowledged; see the text above.  `totals` are successes per class."""

    origin: str
    size: int
    root: bytes
    campaign: int
    leaf: int
    observed: int
    protocols: dict[str, int]
    totals: tuple[int, ...]

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (
            _HEAD,
            self.origin,
            f"{self.size} {to_base64(self.root)}",
            f"campaign {self.campaign} leaf {self.leaf}",
            f"observed {self.observed}",
            *(f"protocol {name} {count}" for name, count in sorted(self.protocols.items())),
            f"totals {' '.join(map(str, self.totals))}",
        )
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Acknowledged":
        """Read the text of a note.  Raises NoteError when it acknowledges nothing."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NoteError("this note acknowledges nothing")
        rows = (line.split(" ") for line in found["protocols"].splitlines())
        return cls(
            found["origin"],
            int(found["size"]),
            from_base64(found["root"]),
            int(found["campaign"]),
            int(found["leaf"]),
            int(found["observed"]),
            {name: int(count) for _, name, count in rows},
            tuple(map(int, found["totals"].split(" "))),
        )


class Told(Protocol):
    """What an acknowledgement says, of a campaign or of a day."""

    @property
    def size(self) -> int:
        """Of the tree that was cosigned."""
        ...

    @property
    def root(self) -> bytes:
        """Of that tree."""
        ...

    @property
    def totals(self) -> tuple[int, ...]:
        """Successes per class, over the whole log up to the last block."""
        ...

    @property
    def text(self) -> str:
        """The text that is signed."""
        ...


def confirm(told: Told, cosigner: Cosigner, seconds: int) -> Note:
    """Return an acknowledgement as a note by a witness, at this time, POSIX seconds."""
    return Note(told.text).signed(cosigner.sign_at(told.text, seconds))


def leaf_of(note: Note, told: Told) -> Acknowledgement:
    """Return the leaf that puts an acknowledgement into the log that it is of; the time is the witness's."""
    return Acknowledgement(
        first=0,
        size=told.size,
        root=told.root,
        totals=told.totals,
        time=cosigned_at(note.signatures[0].data) * _US,
        note=note.encode().decode(),
    )


def make_claim(
    checkpoint: Checkpoint, number: int, lines: Sequence[bytes], read: HashReader
) -> Claim:
    """Return the claim for a campaign from all leaves of a tree that was cosigned.  Raises ClaimError."""
    closing = last_leaf(lines, Campaign, lambda leaf: _closes(leaf, number))
    return claim_of(checkpoint, closing, lines, read)


def claim_of(
    checkpoint: Checkpoint, closing: int, lines: Sequence[bytes], read: HashReader
) -> Claim:
    """Return the claim for the leaf of this index and the last block before it.  Raises ClaimError."""
    block = last_leaf(lines[:closing], Block, lambda _: True)
    closed, sealed = (
        Proven(at, lines[at], tuple(inclusion_proof(at, checkpoint.size, read)))
        for at in (closing, block)
    )
    return Claim(checkpoint.origin, checkpoint.size, closed, sealed)


def judge(claim: Claim, cosigned: Checkpoint) -> Acknowledged:
    """Return what follows from a claim about the tree that was cosigned.  Raises ClaimError."""
    check_newest(claim, cosigned)
    if claim.block.at >= claim.closing.at:
        raise ClaimError("the last block stands before the closing leaf")
    closing, block = (checked(each, cosigned) for each in (claim.closing, claim.block))
    if not isinstance(closing, Campaign) or not _closes(closing, closing.number):
        raise ClaimError("the first leaf closes no campaign")
    if not isinstance(block, Block):
        raise ClaimError("the second leaf is no block")
    protocols = closing.protocols or {}
    if sum(protocols.values()) != closing.observed:
        raise ClaimError("its protocols do not come to what was observed")
    return Acknowledged(
        origin=cosigned.origin,
        size=cosigned.size,
        root=cosigned.root,
        campaign=closing.number,
        leaf=claim.closing.at,
        observed=closing.observed,
        protocols=protocols,
        totals=block.total,
    )


def check_newest(claim: Claim, cosigned: Checkpoint) -> None:
    """Raise ClaimError for a claim of another tree than the one that was cosigned last."""
    if (claim.origin, claim.size) != (cosigned.origin, cosigned.size):
        raise ClaimError(f"this is not of the newest tree, which has {cosigned.size} leaves")


def checked(each: Proven, cosigned: Checkpoint) -> object:
    """Return a leaf that is proven to be in the tree that was cosigned.  Raises ClaimError."""
    try:
        verify_inclusion(each.at, cosigned.size, leaf_hash(each.line), each.proof, cosigned.root)
        return parse(each.line)
    except (ProofError, LeafError) as error:
        raise ClaimError(str(error)) from error


def _closes(leaf: Campaign, number: int) -> bool:
    return leaf.state == "close" and leaf.number == number and leaf.observed is not None


def last_leaf(
    lines: Sequence[bytes],
    kind: type[Block] | type[Campaign] | type[Day],
    is_it: Callable[..., bool],
) -> int:
    """Return the index of the last leaf of a kind that is meant.  Raises ClaimError."""
    mark = f'"k":"{kind.kind}"'.encode()
    for at in range(len(lines) - 1, -1, -1):
        if mark in lines[at] and is_it(parse(lines[at])):
            return at
    raise ClaimError(f"the cosigned tree has no such leaf of kind {kind.kind}")


def _proven(value: Json) -> Proven:
    match value:
        case {"index": int() as index, "leaf": str() as line, "proof": list() as proof}:
            return Proven(index, line.encode(), tuple(map(_hash, proof)))
    raise ClaimError("a proven leaf has index, leaf and proof")


def _hash(value: Json) -> bytes:
    if not isinstance(value, str):
        raise ClaimError("a proof is a list of hashes in base64")
    return from_base64(value)
