"""Tampers of the log itself: heads, tree, memory, reports (V1, V2, V3, V10)."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from node.ledger.canonical import canonical
from node.ledger.checkpoint import Checkpoint
from node.ledger.leaf import Dictionary, Genesis, Leaf, Report
from node.ledger.note import Ed25519Signer, Note
from node.ledger.statement import Statement
from node.ledger.verify.checks import Check
from tests.support.evidence import MONTH, ORIGIN, SM2, Evidence, Maker, Story
from tests.support.logs import seed
from tests.support.tampers import (
    Lie,
    Tamper,
    edit,
    entries,
    flip,
    lie,
    log_signer,
    rewrite,
)

THIEF = Ed25519Signer(ORIGIN, seed("somebody else"))


@dataclass(frozen=True)
class _AnyLine:
    """A leaf that is no leaf."""

    data: bytes

    def line(self) -> bytes:
        return self.data


def _at_the_end(*leaves: Any) -> Callable[[], Story]:
    """A story with these leaves behind the last report."""

    def make() -> Story:
        def told(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
            is_last = isinstance(leaf, Report) and leaf.version == 2
            return [leaf, *leaves] if is_last else [leaf]

        return Lie(leaves=told)

    return make


def _head(change: Callable[[Note], Note], place: int = 5) -> Callable[[Evidence], None]:
    def after(evidence: Evidence) -> None:
        path = evidence.heads()[place]
        path.write_bytes(change(Note.parse(path.read_bytes())).encode())

    return after


def _spoil_sm2(evidence: Evidence) -> None:
    note = Note.parse(evidence.read("log/checkpoint"))
    line = next(line for line in note.signatures if line.key_id == SM2.key.id)
    spoilt = note.signed(line._replace(data=flip(line.data)))
    evidence.write("log/checkpoint", spoilt.encode())


def _drop_heads(evidence: Evidence) -> None:
    for path in evidence.heads():
        path.unlink()


def _change_leaf(place: int, change: Callable[[bytes], bytes], *, heads: bool) -> Any:
    def after(evidence: Evidence) -> None:
        lines = entries(evidence)
        lines[place] = change(lines[place])
        rewrite(evidence, lines, heads=heads)

    return after


def _fork_one_head(node: Maker, checkpoint: Checkpoint) -> Checkpoint:
    is_fifth = (node.lanes[0].chain.epoch, node.lanes[0].chain.block) == (1, 5)
    return replace(checkpoint, root=flip(checkpoint.root)) if is_fifth else checkpoint


def _remember(size: int) -> Callable[[Evidence], None]:
    """The auditor has seen another head: of another tree, or a larger one."""

    def after(evidence: Evidence) -> None:
        newest = Checkpoint.parse(Note.parse(evidence.heads()[-1].read_bytes()).text)
        head = Checkpoint(ORIGIN, size or newest.size + 10, flip(newest.root))
        note = Note(head.text).signed(log_signer().sign(head.text))
        (evidence.given / "state").write_bytes(note.encode())

    return after


def _replace_all_heads(evidence: Evidence) -> None:
    """The log begins anew, with another key under the same name."""
    for path in evidence.heads():
        note = Note.parse(path.read_bytes())
        path.write_bytes(Note(note.text, (THIEF.sign(note.text), *note.signatures[1:])).encode())


def _longer(evidence: Evidence) -> None:
    """Who stole the key signs a longer log; no witness does."""
    lines = [*entries(evidence), Dictionary(agents=((9, "Thief/1.0"),)).line()]
    rewrite(evidence, lines, heads=False)
    evidence.write(f"log/heads/{len(lines)}.note", evidence.read("log/checkpoint"))


def _report(change: Callable[[dict[str, Any]], Any]) -> Callable[[Evidence], None]:
    """Another report in the place of the one that was logged, signed by the log's key."""

    def after(evidence: Evidence) -> None:
        document = json.loads(evidence.read("report.json"))
        change(document)
        data = canonical(document)
        text = Statement.of(ORIGIN, MONTH, 2, data).text
        evidence.write("report.json", data)
        evidence.write("report.note", Note(text).signed(log_signer().sign(text)).encode())

    return after


def _older_report(evidence: Evidence) -> None:
    """The report of version 1, which version 2 has replaced."""
    document = json.loads(evidence.read("report.json"))
    document["report_version"] = 1
    data = canonical(document)
    text = Statement.of(ORIGIN, MONTH, 1, data).text
    evidence.write("report.json", data)
    evidence.write("report.note", Note(text).signed(log_signer().sign(text)).encode())


def _previous(node: Maker, document: dict[str, Any]) -> dict[str, Any]:
    return {**document, "log": {"prev_report_digest": ""}}


def _sign_report_as_thief(evidence: Evidence) -> None:
    note = Note.parse(evidence.read("report.note"))
    evidence.write("report.note", Note(note.text).signed(THIEF.sign(note.text)).encode())


_LAST = Dictionary(agents=((7, "Last/1.0"),))
_OTHER = Dictionary(agents=((7, "Late/1.0"),))


def _listed(change: Callable[[Evidence], None]) -> Callable[[Evidence], None]:
    """An export with a report for people, changed when it was on its way."""

    def after(evidence: Evidence) -> None:
        evidence.write("report.pdf", b"%PDF")
        evidence.write_sums()
        change(evidence)

    return after


TAMPERS = (
    Tamper("an SM2 line of somebody else", Check.V1_SM2, ("T13",), after=_spoil_sm2),
    Tamper("no head", Check.V1_MISSING, after=_drop_heads),
    Tamper(
        "a head by another key",
        Check.V1_SIGNATURE,
        ("T13",),
        after=_head(
            lambda note: Note(note.text, (THIEF.sign(note.text), *note.signatures[1:])), -2
        ),
    ),
    Tamper(
        "a leaf altered, and all heads signed again",
        Check.V1_SIGNATURE,
        ("T2",),
        after=_change_leaf(122, lambda line: line.replace(b"Mozilla", b"Godzilla"), heads=True),
        is_found_by_others=True,
    ),
    Tamper(
        "a fresh log with a fresh key",
        Check.V1_SIGNATURE,
        ("T12",),
        after=_replace_all_heads,
        is_found_by_others=True,
    ),
    Tamper(
        "a head that one witness did not see",
        Check.V1_QUORUM,
        ("T11",),
        after=_head(lambda note: Note(note.text, note.signatures[:2])),
    ),
    Tamper("a longer log, signed by a thief", Check.V1_QUORUM, ("T13",), after=_longer),
    Tamper(
        "a beginning under another name",
        Check.V1_GENESIS,
        ("T12",),
        edit(Genesis, lambda leaf: replace(leaf, origin="other.example/ledger")),
    ),
    Tamper(
        "a tile taken away",
        Check.V2_MISSING,
        after=lambda made: next((made.directory / "log/tile/0").rglob("246")).unlink(),
    ),
    Tamper(
        "a leaf of no kind", Check.V2_LEAF, (), _at_the_end(_AnyLine(b'{"k":"extra","n":1,"v":1}'))
    ),
    Tamper(
        "a bit of a tile",
        Check.V2_TILE,
        ("T2",),
        after=lambda made: made.write(
            "log/tile/0/000.p/246", flip(made.read("log/tile/0/000.p/246"))
        ),
    ),
    Tamper(
        "the last leaf altered, with its tiles",
        Check.V2_ROOT,
        ("T2",),
        _at_the_end(_LAST),
        _change_leaf(-1, lambda _: _OTHER.line(), heads=False),
    ),
    Tamper(
        "an old leaf altered, with its tiles",
        Check.V2_ROOT,
        ("T2",),
        after=_change_leaf(122, lambda line: line.replace(b"Mozilla", b"Godzilla"), heads=False),
        is_found_by_others=True,
    ),
    Tamper(
        "a copy of the leaves that differs",
        Check.V2_COPY,
        after=lambda made: made.write(
            "leaves.jsonl", made.read("leaves.jsonl").replace(b"Mozilla", b"Gozilla")
        ),
    ),
    Tamper(
        "one head of another tree, cosigned by all",
        Check.V3_HEAD,
        ("T11", "T18"),
        lie(sign=_fork_one_head),
    ),
    Tamper(
        "another tree than the auditor remembers",
        Check.V3_REMEMBERED,
        ("T11", "T12"),
        after=_remember(100),
    ),
    Tamper("a log that has become smaller", Check.V3_REMEMBERED, ("T19",), after=_remember(0)),
    Tamper(
        "a report that is no JSON",
        Check.V10_MISSING,
        after=lambda made: made.write("report.json", b"{"),
    ),
    Tamper("a report signed by another key", Check.V10_SIGNATURE, after=_sign_report_as_thief),
    Tamper(
        "a report that was issued again silently",
        Check.V10_LOGGED,
        ("T21",),
        after=_report(lambda document: document.update(note="corrected")),
    ),
    Tamper("the report that was replaced", Check.V10_LOGGED, ("T21",), after=_older_report),
    Tamper(
        "a new version that does not say what it replaces",
        Check.V10_VERSION,
        ("T21",),
        edit(Report, lambda leaf: replace(leaf, supersedes=None), 3),
    ),
    Tamper(
        "a report that forgets the one before",
        Check.V10_PREVIOUS,
        ("T12",),
        lie(report=_previous),
    ),
    Tamper(
        "a file that no rule reads is changed",
        Check.V2_SUMS,
        after=_listed(lambda evidence: evidence.write("report.pdf", b"%PDX")),
    ),
    Tamper(
        "a file that is listed is taken away",
        Check.V2_LISTED,
        after=_listed(lambda evidence: (evidence.directory / "report.pdf").unlink()),
    ),
    Tamper(
        "a file is put among the others",
        Check.V2_UNLISTED,
        after=_listed(lambda evidence: evidence.write("acks/999.note", b"all is well")),
    ),
)
