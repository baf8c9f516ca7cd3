"""One receipt: a record, or a leaf, is in the log that a quorum cosigned; all of it from one file."""

from pathlib import Path

from node.ledger.keys import NoteError
from node.ledger.leaf import LeafError
from node.ledger.proof import MAX_PROOF_BYTES
from node.ledger.receipt import Receipt, ReceiptError
from node.ledger.record import Class, Record
from node.ledger.tlog import ProofError
from node.ledger.verify.checks import INCOMPLETE, PASS, SIGNATURE, TREE
from node.ledger.verify.findings import grouped, plain
from node.ledger.verify.trust import Trust, read_given


def prove(path: Path, trust: Trust) -> tuple[int, list[str]]:
    """Check a `.tlog-proof` file; return the exit code, and what to print.  Raises WrongUse."""
    try:
        receipt = Receipt.parse(read_given(path, MAX_PROOF_BYTES))
    except (ReceiptError, NoteError, ValueError) as error:
        return INCOMPLETE, [f"FAIL  {plain(str(error))}"]
    try:
        cosigned, record = receipt.check(trust.policy)
    except (ProofError, LeafError) as error:
        return TREE, [f"FAIL  {plain(str(error))}"]
    except NoteError as error:
        return SIGNATURE, [f"FAIL  {plain(str(error))}"]
    checkpoint = cosigned.checkpoint
    seen = ", ".join(f"{name} at {seconds}" for name, seconds in cosigned.witnesses.items())
    shown = [
        f"PASS  leaf {grouped(receipt.proof.index)} of {grouped(checkpoint.size)} of {plain(checkpoint.origin)}",
        f"LEAF  {plain(receipt.line.decode(errors='replace'))}",
        f"SEEN  {plain(seen) or 'by nobody'}",
    ]
    return PASS, shown if record is None else [*shown, _record(record)]


def _record(record: Record) -> str:
    known = {each.value: each.name for each in Class}
    success = "success" if record.is_success else "failure"
    return (
        f"RECORD  {record.seq} time {record.t_us} class {known.get(record.class_, record.class_)} "
        f"proto {record.proto} result {record.result} {success} id {record.id_tag:016x} "
        f"client {record.client_tag:016x} nonce {record.nonce:08x}"
    )
