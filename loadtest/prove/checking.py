"""Checking: a proof read again from its files alone: signature, every figure that follows from others, the evidence.

What it looks at is what lies in the directory; whom to believe is given, or, for convenience, the copies in `trust/`.
"""

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from loadtest.prove.document import SCHEMA
from loadtest.prove.evidence import (
    EVIDENCE,
    LOG_KEY,
    POLICY,
    SCRAPES,
    count_evidence,
    sums_digest,
    verify,
)
from loadtest.prove.issuing import JSON, NOTE
from loadtest.prove.reconciliation import SUM, FourCounts
from loadtest.prove.statement import check, statement
from node.ledger.acknowledging import Acknowledged
from node.ledger.evidence import LEAVES, SHA256SUMS
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.leaf import Acknowledgement, parse
from node.ledger.note import Note
from node.ledger.note import verify as verify_note
from node.ledger.quorum import Policy
from node.ledger.report.texts import Document

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, NoteError)


def check_proof(
    directory: Path, log_key: Path | None = None, policy: Path | None = None
) -> list[str]:
    """Return what does not hold, a sentence each."""
    try:
        document = (directory / JSON).read_bytes()
        said: Document = json.loads(document)
        if said["schema"] != SCHEMA:
            return [f"{JSON} has the schema {said['schema']}, not {SCHEMA}"]
        keys = _keys(log_key or directory / LOG_KEY)
        text = statement(said["origin"], said["campaign"]["number"], document)
        wrong = check((directory / NOTE).read_bytes(), text, keys)
        if wrong:
            return [wrong]
        witnesses = Policy.parse((policy or directory / POLICY).read_bytes())
        return [*_figures(directory, said, witnesses), *_files(directory, said)]
    except _UNREADABLE as error:
        return [f"the proof cannot be read: {type(error).__name__}: {error}"]


def _keys(path: Path) -> list[VerifierKey]:
    return [VerifierKey.parse(line) for line in path.read_text("utf-8").splitlines() if line]


def _figures(directory: Path, said: Document, policy: Policy) -> Iterator[str]:
    """The counts, from the evidence, the scrapes and the acknowledgement."""
    yield from said["faults"]
    rows = {row["protocol"]: row for row in said["counts"]["rows"]}
    number, start = said["campaign"]["number"], said["counts"]["from_leaf"]
    counted = count_evidence(directory / EVIDENCE, number, start)
    marks = json.loads((directory / SCRAPES).read_bytes())["marks"]
    told = _acknowledged(said, policy)
    counts = FourCounts(
        client={name: row["client"] for name, row in rows.items() if name != SUM},
        ledger=counted.protocols,
        metrics=gained(marks["before"], marks["after"]),
        toplevel=told.protocols,
        others=counted.others,
    )
    yield from counts.differences()
    columns = counts.columns
    for name, row in rows.items():
        for column, found in columns.items():
            if row[column] != found[name]:
                yield f"the report says {row[column]:,} of {column} over {name}, not {found[name]:,}"
    yield from _in_log(directory, said)


def gained(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return what counters have gained."""
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _acknowledged(said: Document, policy: Policy) -> Acknowledged:
    note = Note.parse(said["acknowledgement"]["note"].encode())
    verify_note(note, [each.key for each in policy.witnesses])
    return Acknowledged.parse(note.text)


def _in_log(directory: Path, said: Document) -> Iterator[str]:
    at = said["acknowledgement"]["leaf"]
    line = (directory / EVIDENCE / LEAVES).read_bytes().splitlines()[at]
    leaf = parse(line)
    if not isinstance(leaf, Acknowledgement) or leaf.note != said["acknowledgement"]["note"]:
        yield f"leaf {at} of the evidence does not have the acknowledgement"


def _files(directory: Path, said: Document) -> Iterator[str]:
    """What fixes every byte beside the report, and the verifier's word."""
    digests = said["digests"]
    if sums_digest(directory) == digests[SHA256SUMS]:
        yield from _sums(directory / EVIDENCE)
    else:
        yield f"{EVIDENCE}/{SHA256SUMS} is not the one that was signed"
    if sha256((directory / SCRAPES).read_bytes()).hexdigest() != digests[SCRAPES]:
        yield f"{SCRAPES} is not the one that was signed"
    yield from verify(directory).faults


def _sums(evidence: Path) -> Iterator[str]:
    """What `sha256sum -c` says."""
    for line in (evidence / SHA256SUMS).read_text("utf-8").splitlines():
        digest, _, name = line.partition("  ")
        if sha256((evidence / name).read_bytes()).hexdigest() != digest:
            yield f"{EVIDENCE}/{name} is not the one of {SHA256SUMS}"
