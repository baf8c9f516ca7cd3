"""Checking: a proof read again from its files alone: signature, every figure that follows from others, the evidence.

What it looks at is what lies in the directory; whom to believe is given, or, for convenience, the copies in `trust/`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from subprocess import SubprocessError

from loadtest.prove.document import SCHEMA
from loadtest.prove.editions import editions
from loadtest.prove.evidence import (
    EVIDENCE,
    LOG_KEY,
    POLICY,
    SCRAPES,
    Believed,
    count_evidence,
    file_digest,
    sums_digest,
    verify,
)
from loadtest.prove.issuing import HTML, JSON, NOTE, PDF, STYLE
from loadtest.prove.reconciliation import NAMES, SUM, FourCounts, unacknowledged
from loadtest.prove.statement import check, statement
from node.ledger.acknowledging import Acknowledged
from node.ledger.block import sm3
from node.ledger.evidence import LEAVES, SHA256SUMS, SM3SUMS
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.leaf import Acknowledgement, parse
from node.ledger.note import Note
from node.ledger.note import verify as verify_note
from node.ledger.quorum import TOPLEVEL, Policy
from node.ledger.report.html import page_of
from node.ledger.report.texts import Document

_UNREADABLE = (
    *(AttributeError, LookupError, OSError, SubprocessError, TypeError, ValueError),
    NoteError,
)


def check_proof(
    directory: Path, log_key: Path | None = None, policy: Path | None = None, toplevel: str = ""
) -> list[str]:
    """Return what does not hold, a sentence each.

    Whom to believe is given: `toplevel` is the top-level node's name in the policy; see `Believed`.
    """
    try:
        document = (directory / JSON).read_bytes()
        said: Document = json.loads(document)
        if said["schema"] != SCHEMA:
            return [f"{JSON} has the schema {said['schema']}, not {SCHEMA}"]
        keys = _keys(log_key or directory / LOG_KEY)
        page, pdf = ((directory / name).read_bytes() for name in (HTML, PDF))
        text = statement(said["origin"], said["campaign"]["number"], document, page, pdf)
        wrong = check((directory / NOTE).read_bytes(), text, keys)
        if wrong:
            return [wrong]
        named = toplevel or ("" if policy else str(said["acknowledgement"].get("witness", "")))
        believed = Believed(log_key, policy, named)
        return [
            *_acknowledgement(directory, said, believed),
            *_figures(directory, said),
            *_rendering(said, document, page),
            *_files(directory, said, believed),
        ]
    except _UNREADABLE as error:
        return [f"the proof cannot be read: {type(error).__name__}: {error}"]


def _keys(path: Path) -> list[VerifierKey]:
    return [VerifierKey.parse(line) for line in path.read_text("utf-8").splitlines() if line]


def _figures(directory: Path, said: Document) -> Iterator[str]:
    """The counts, from the evidence, the scrapes and the acknowledgement."""
    yield from said["faults"]
    told = _acknowledged(said)
    rows = {row["protocol"]: row for row in said["counts"]["rows"]}
    number, start = said["campaign"]["number"], said["counts"]["from_leaf"]
    counted = count_evidence(directory / EVIDENCE, number, start)
    marks = json.loads((directory / SCRAPES).read_bytes())["marks"]
    counts = FourCounts(
        client={name: row["client"] for name, row in rows.items() if name != SUM},
        ledger=counted.protocols,
        metrics=gained(marks["before"], marks["after"]),
        toplevel=told.protocols if told else None,
        others=counted.others,
    )
    yield from counts.differences()
    yield from _rows(rows, counts)
    yield from _repeated(said, counts)
    if told is None:
        missing = unacknowledged(said["acknowledgement"].get("missing", ""))
        yield from () if missing in said["faults"] else (missing,)
    else:
        yield from _in_log(directory, said)
        yield from _of_this_campaign(said, told)


def _rows(rows: Mapping[str, Document], counts: FourCounts) -> Iterator[str]:
    columns = counts.columns
    for name, row in rows.items():
        for column in NAMES:
            found = columns[column][name] if column in columns else None
            if row.get(column) != found:
                yield f"the report says {row.get(column)} of {column} over {name}, not {found}"


def _repeated(said: Document, counts: FourCounts) -> Iterator[str]:
    """What the report says a second time, or of what is not of the campaign."""
    if [row["protocol"] for row in said["counts"]["rows"]] != counts.protocols:
        yield "the report has other rows of counts than there are protocols"
    if said["counts"]["others"] != {name: each for name, each in counts.others.items() if each}:
        yield "the report says something else of what is not of the campaign than the evidence"
    if {each["protocol"]: each["answers"] for each in said["asked"]} != counts.client:
        yield "the report says of its answers by protocol now this, now that"
    if said["is_production"] is not False or said["campaign"]["class"] != "test":
        yield "the report says that a load test is production"


def gained(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return what counters have gained."""
    return {name: count - before.get(name, 0) for name, count in after.items()}


def _acknowledgement(directory: Path, said: Document, believed: Believed) -> Iterator[str]:
    """Whether the top-level node has signed what the report has of it."""
    if not said["acknowledgement"]["note"]:
        return
    name = believed.toplevel or TOPLEVEL
    witnesses = Policy.parse((believed.policy or directory / POLICY).read_bytes()).named(name)
    if not witnesses:
        yield f"the policy names no top-level node {name!r}: give its name there with --toplevel"
        return
    try:
        note = Note.parse(said["acknowledgement"]["note"].encode())
        verify_note(note, [each.key for each in witnesses])
    except NoteError as error:
        yield f"the acknowledgement is not of the top-level node {name!r}: {error}"


def _acknowledged(said: Document) -> Acknowledged | None:
    """Return what the acknowledgement says, whoever signed it; None where there is none.  Raises NoteError."""
    note = said["acknowledgement"]["note"]
    return Acknowledged.parse(Note.parse(note.encode()).text) if note else None


def _in_log(directory: Path, said: Document) -> Iterator[str]:
    at = said["acknowledgement"]["leaf"]
    line = (directory / EVIDENCE / LEAVES).read_bytes().splitlines()[at]
    leaf = parse(line)
    if not isinstance(leaf, Acknowledgement) or leaf.note != said["acknowledgement"]["note"]:
        yield f"leaf {at} of the evidence does not have the acknowledgement"


def _of_this_campaign(said: Document, told: Acknowledged) -> Iterator[str]:
    """An acknowledgement of the same numbers, but of another campaign, is none."""
    campaign = said["campaign"]
    ours = said["origin"], campaign["number"], campaign["closed_leaf"]
    if (told.origin, told.campaign, told.leaf) != ours:
        yield f"campaign {told.campaign}, leaf {told.leaf} of {told.origin} is acknowledged, not this"


def _rendering(said: Document, document: bytes, page: bytes) -> Iterator[str]:
    """The page is made of the report alone: the same version makes the same again."""
    is_same = said["versions"]["idnode"] == version("idnode")
    if is_same and page != page_of(editions(document), STYLE).encode():
        yield f"{HTML} is not what this version makes of {JSON}"


def _files(directory: Path, said: Document, believed: Believed) -> Iterator[str]:
    """What fixes every byte beside the report, and the verifier's word."""
    digests = said["digests"]
    if sums_digest(directory) == digests[SHA256SUMS]:
        yield from _sums(directory / EVIDENCE, SHA256SUMS, lambda data: sha256(data).hexdigest())
        yield from _sums(directory / EVIDENCE, SM3SUMS, sm3)
    else:
        yield f"{EVIDENCE}/{SHA256SUMS} is not the one that was signed"
    for name in (SCRAPES, LOG_KEY, POLICY):
        if file_digest(directory / name) != digests[name]:
            yield f"{name} is not the one that was signed"
    yield from verify(directory, believed).faults


def _sums(evidence: Path, sums: str, digest_of: Callable[[bytes], str]) -> Iterator[str]:
    """What `sha256sum -c` says; and every file is listed."""
    listed = set()
    for line in (evidence / sums).read_bytes().decode().removesuffix("\n").split("\n"):
        digest, _, name = line.partition("  ")
        listed.add(name)
        if digest_of((evidence / name).read_bytes()) != digest:
            yield f"{EVIDENCE}/{name} is not the one of {sums}"
    there = {str(each.relative_to(evidence)) for each in evidence.rglob("*") if each.is_file()}
    if there - {SHA256SUMS, SM3SUMS} != listed:
        yield f"{EVIDENCE} has other files than those of {sums}"
