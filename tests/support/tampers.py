"""Tampers: false evidence, each made as somebody could really make it, with the true keys wherever he has them.

The operator has the log's key; what he does while it happens is cosigned like everything else (`story`).  What is done
afterwards (`after`) has no cosignatures that he could make.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from node.ledger.checkpoint import Checkpoint
from node.ledger.leaf import Block, Leaf
from node.ledger.note import Ed25519Signer, Note
from node.ledger.record import Record
from node.ledger.tiles import Frontier, decode_entries, encode_entries, entries_for
from node.ledger.tlog import leaf_hash
from node.ledger.verify.checks import Check
from tests.support.evidence import ORIGIN, Evidence, Maker, Story, make_evidence
from tests.support.logs import seed

LeafEdit = Callable[[Maker, Leaf], Iterable[Leaf]]
RecordEdit = Callable[[Maker, int, list[Record]], list[Record]]
After = Callable[[Evidence], None]


class Lie(Story):
    """A story with some of its methods replaced."""

    def __init__(self, **methods: Callable[..., Any]) -> None:
        for name, method in methods.items():
            assert hasattr(Story, name), name
            setattr(self, name, method)


class Tamper(NamedTuple):
    """One way to cheat: which threats of the design it carries out, and the check that has to find it."""

    name: str
    check: Check
    threats: tuple[str, ...] = ()
    story: Callable[[], Story] = Story
    after: After | None = None
    is_found_by_others: bool = (
        False  # other checks find it too, so it says nothing of this one alone
    )

    def make(self, directory: Path) -> Evidence:
        """Make the false evidence."""
        made = make_evidence(directory, self.story())
        if self.after is not None:
            self.after(made)
        return made


def lie(**methods: Callable[..., Any]) -> Callable[[], Story]:
    """Return what makes a story with these methods, which may be generators of a state of their own."""
    return lambda: Lie(**methods)


def edit(kind: type[Leaf], change: Callable[[Any], Leaf | None], number: int = 1) -> Any:
    """Return a story that changes the so-and-so-many-th leaf of a kind; None drops it."""

    def make() -> Story:
        seen = 0

        def leaves(node: Maker, leaf: Leaf) -> Iterable[Leaf]:
            nonlocal seen
            if not isinstance(leaf, kind):
                return [leaf]
            seen += 1
            changed = change(leaf) if seen == number else leaf
            return [] if changed is None else [changed]

        return Lie(leaves=leaves)

    return make


def edit_block(number: int, **fields: Callable[[Block], Any]) -> Any:
    """Return a story in which a block, the so-and-so-many-th, says something else."""
    return edit(
        Block,
        lambda leaf: replace(leaf, **{name: value(leaf) for name, value in fields.items()}),
        number,
    )


def edit_records(number: int, change: Callable[[list[Record]], list[Record]]) -> Any:
    """Return a story in which the records of the so-and-so-many-th block are others."""

    def make() -> Story:
        seen = 0

        def records(node: Maker, lane: int, found: list[Record]) -> list[Record]:
            nonlocal seen
            seen += 1
            return change(found) if seen == number else found

        return Lie(records=records)

    return make


def edit_record(number: int, wanted: Callable[[Record], bool], **fields: Any) -> Any:
    """Return a story in which the first such record of a block is another."""

    def change(records: list[Record]) -> list[Record]:
        at = next(place for place, record in enumerate(records) if wanted(record))
        return [*records[:at], records[at]._replace(**fields), *records[at + 1 :]]

    return edit_records(number, change)


def without(wanted: Callable[[Record], bool]) -> Callable[[list[Record]], list[Record]]:
    """Return what drops such records, and numbers the others anew, so that there is no hole."""

    def change(records: list[Record]) -> list[Record]:
        kept = [record for record in records if not wanted(record)]
        first = records[0].seq
        return [record._replace(seq=first + place) for place, record in enumerate(kept)]

    return change


def flip(data: bytes, at: int = -1) -> bytes:
    """The same bytes with one bit changed."""
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def log_signer() -> Ed25519Signer:
    """The log's key, which its operator has."""
    return Ed25519Signer(ORIGIN, seed(ORIGIN))


def entries(evidence: Evidence) -> list[bytes]:
    """All leaves in the bundles."""
    found = []
    for path in sorted((evidence.directory / "log/tile/entries").rglob("*")):
        if path.is_file() and ".p" not in path.parent.name:
            found += decode_entries(path.read_bytes())
    size = len(evidence.read("leaves.jsonl").splitlines())
    for bundle in entries_for(len(found), size):
        found += decode_entries(evidence.read(f"log/{bundle.path}"))
    return found


def rewrite(evidence: Evidence, lines: list[bytes], *, heads: bool) -> None:
    """Write another tree in the place of this one, and sign its heads with the log's key; cosignatures are left."""
    frontier = Frontier()
    signed = {int(path.stem): path for path in evidence.heads()}
    for line in lines:
        for tile, data in frontier.extend([leaf_hash(line)]):
            evidence.write(f"log/{tile.path}", data)
        if heads and frontier.size in signed:
            path = signed[frontier.size]
            checkpoint = Checkpoint(ORIGIN, frontier.size, frontier.root())
            old = Note.parse(path.read_bytes())
            lines_kept = old.signatures[1:]
            new = Note(checkpoint.text).signed(log_signer().sign(checkpoint.text), *lines_kept)
            path.write_bytes(new.encode())
    for bundle in entries_for(0, len(lines)):
        at = bundle.number * 256
        evidence.write(f"log/{bundle.path}", encode_entries(lines[at : at + bundle.width]))
    evidence.write("leaves.jsonl", b"".join(line + b"\n" for line in lines))
    text = Checkpoint(ORIGIN, frontier.size, frontier.root()).text
    evidence.write("log/checkpoint", Note(text).signed(log_signer().sign(text)).encode())
