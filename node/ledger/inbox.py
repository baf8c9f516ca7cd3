"""The inbox: how other processes of this node ask the keeper to seal at once, or to put a leaf into the log.

A request is a file `<name>.ask` in `<data_dir>/ledger/inbox`, put there by a rename; its answer replaces it as
`<name>.told`.  It holds nothing, or the line of a leaf.  Whoever can write there is the node's own account.

Laws.  A leaf that is asked for twice (the keeper died before it answered) is in the log once: its line is looked up
first.  Only kinds that a person or a job of this node has to say are taken; counts come from the sealer alone.
"""

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from node.ledger.durable import make_directory, read_if_there, write_durably
from node.ledger.leaf import (
    Acknowledgement,
    Anchor,
    Campaign,
    Day,
    Leaf,
    LeafError,
    Pruning,
    Report,
    Rotation,
    parse,
)

DIRECTORY = "inbox"
TAKEN: tuple[type[Leaf], ...] = (
    Acknowledgement,
    Anchor,
    Campaign,
    Day,
    Pruning,
    Report,
    Rotation,
)
WAIT_SECONDS = 30.0
STALE_SECONDS = 3_600.0  # after which an answer that nobody has read goes
_POLL_SECONDS = 0.05
_ASK, _TOLD = ".ask", ".told"


class NotTaken(Exception):
    """A request was refused, or nobody answered; the text says why and what to do."""


class Request(NamedTuple):
    """A file that asks; `leaf` is None when it only asks to seal."""

    path: Path
    leaf: Leaf | None


class Told(NamedTuple):
    """What a request is told: where its leaf stands, and the size of the published tree that has it."""

    at: int | None
    size: int


class Inbox:
    """The keeper's side."""

    def __init__(self, directory: Path) -> None:
        """`directory` is that of the ledger."""
        self._directory = directory / DIRECTORY

    def make(self, now: float) -> None:
        """Make the directory, and drop answers that nobody has read.  Raises OSError."""
        make_directory(self._directory)
        for path in self._directory.glob(f"*{_TOLD}"):
            with suppress(OSError):
                if path.stat().st_mtime < now - STALE_SECONDS:
                    path.unlink()

    def is_asked(self) -> bool:
        """Return whether a request lies there: a glance at a directory that is empty nearly always.  Raises OSError."""
        with os.scandir(self._directory) as found:
            return any(each.name.endswith(_ASK) for each in found)

    def requests(self) -> Iterator[Request]:
        """Return what is asked; what cannot be taken is told so.  Raises OSError."""
        for path in sorted(self._directory.glob(f"*{_ASK}")):
            line = read_if_there(path)
            if line is None:
                continue
            try:
                leaf = parse(line) if line else None
            except LeafError as error:
                self.refuse(path, str(error))
                continue
            if leaf is not None and not isinstance(leaf, TAKEN):
                self.refuse(path, f"leaves of kind {leaf.kind} are the node's own to write")
                continue
            yield Request(path, leaf)

    def tell(self, request: Request, told: Told) -> None:
        """Answer a request.  Raises OSError."""
        self._answer(request.path, {"index": told.at, "size": told.size})

    def refuse(self, path: Path, reason: str) -> None:
        """Answer a request that is not taken.  Raises OSError."""
        self._answer(path, {"refused": reason})

    def _answer(self, path: Path, answer: dict[str, object]) -> None:
        write_durably(path.with_suffix(_TOLD), json.dumps(answer).encode())
        path.unlink(missing_ok=True)


def append(directory: Path, leaf: Leaf) -> int:
    """Have the keeper put a leaf into the log, and return its index.  Raises NotTaken, OSError."""
    at = ask(directory, leaf).at
    assert at is not None  # noqa: S101  a leaf that was taken has its place
    return at


def ask(directory: Path, leaf: Leaf | None = None, *, seconds: float = WAIT_SECONDS) -> Told:
    """Have everything sealed and published, with this leaf if there is one; blocks until that is done.

    `directory` is that of the ledger.  Raises NotTaken, OSError.
    """
    inbox = directory / DIRECTORY
    if not inbox.is_dir():
        raise NotTaken(f"{inbox} is not there: start the node with its ledger on")
    path = inbox / f"{secrets.token_hex(8)}{_ASK}"
    write_durably(path, b"" if leaf is None else leaf.line())
    told, deadline = path.with_suffix(_TOLD), time.monotonic() + seconds
    while (data := read_if_there(told)) is None:
        if time.monotonic() > deadline:
            path.unlink(missing_ok=True)
            raise NotTaken("the keeper did not answer; see whether the node runs, and its log")
        time.sleep(_POLL_SECONDS)
    told.unlink()
    answer = json.loads(data)
    if "refused" in answer:
        raise NotTaken(answer["refused"])
    return Told(answer["index"], answer["size"])
