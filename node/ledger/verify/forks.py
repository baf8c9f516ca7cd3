"""Two heads of one log: whether both can be true, and the transferable proof when they cannot.

Two heads of the same size and of different roots, both signed by the log, are a proof of fraud by themselves.  Of two
sizes the log's files decide.
"""

from pathlib import Path
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint, read_checkpoint
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.note import MAX_NOTE_BYTES, Note
from node.ledger.tiles import hashes_in_tiles
from node.ledger.tlog import ProofError, consistency_proof, verify_consistency
from node.ledger.verify.checks import FORK, INCOMPLETE, PASS, SIGNATURE
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import grouped
from node.ledger.verify.trust import read_given


class Judged(NamedTuple):
    """An exit code, and a sentence."""

    code: int
    text: str


def compare_heads(
    first: Path, second: Path, keys: tuple[VerifierKey, ...], files: EvidenceFiles | None
) -> Judged:
    """Say whether two heads can both be true.  Raises WrongUse."""
    try:
        found = [
            read_checkpoint(Note.parse(read_given(path, MAX_NOTE_BYTES)), keys)
            for path in (first, second)
        ]
    except NoteError as error:
        return Judged(SIGNATURE, f"one of them is no head of this log: {error}")
    old, new = sorted(found, key=lambda head: head.size)
    if old.size == new.size:
        if old.root == new.root:
            return Judged(PASS, f"the same head of {grouped(old.size)} leaves")
        text = "the log has signed two roots: these two files prove it to anybody who has its key"
        return Judged(FORK, f"FORK at {grouped(old.size)} leaves: {text}")
    return _consistent(old, new, files)


def _consistent(old: Checkpoint, new: Checkpoint, files: EvidenceFiles | None) -> Judged:
    sizes = f"{grouped(old.size)} and {grouped(new.size)} leaves"
    if old.size == 0:
        return Judged(PASS, f"heads of {sizes}: the empty log begins every log")
    if files is None:
        return Judged(INCOMPLETE, f"heads of {sizes}: name the evidence with --evidence to compare")
    read = hashes_in_tiles(new.size, files.tile)
    try:
        proof = consistency_proof(old.size, new.size, read)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    except Unreadable as error:
        return Judged(INCOMPLETE, str(error))
    except (ProofError, ValueError) as error:
        return Judged(FORK, f"FORK between {sizes}, by the tiles that are here: {error}")
    return Judged(PASS, f"heads of {sizes}: the first log begins the second")
