"""Heads: the files that cosigning leaves behind, below the directory of the ledger.

heads/<size>.note    checkpoints that the quorum cosigned; a line that came later is added, none is replaced
beacon               the newest of them, which the sealer puts into every block
refused/<id>.json    why a witness refused; while such a file is there nothing is submitted and nothing counts
"""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint
from node.ledger.durable import (
    PUBLIC_DIRECTORY,
    PUBLIC_FILE,
    make_directory,
    read_if_there,
    write_durably,
)
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.logfiles import HEADS, LogFiles
from node.ledger.note import Note
from node.ledger.tlog import EMPTY_ROOT
from node.ledger.witness import Cause

BEACON, REFUSED = "beacon", "refused"


class Beacon(NamedTuple):
    """The newest head that the quorum cosigned, and when that was, POSIX seconds by our clock."""

    note: Note
    met_at: float

    @property
    def size(self) -> int:
        """The leaves of that head."""
        return Checkpoint.parse(self.note.text).size

    def has_line_of(self, key: VerifierKey) -> bool:
        """True when it has a line by this key."""
        return (key.name, key.id) in {(line.name, line.key_id) for line in self.note.signatures}


class NewestHead:
    """The newest checkpoint, for who tells clients of it: `<size>.<first 8 bytes of the root>`, hexadecimal."""

    def __init__(self, files: LogFiles) -> None:
        self._files = files
        self._changed_at = 0
        self._mark = _mark(0, EMPTY_ROOT)

    def mark(self) -> str:
        """Return it; a glance at the file, which is read when it is another.  What cannot be read is as it was."""
        with suppress(OSError, NoteError):
            changed_at = self._files.checkpoint_path.stat().st_mtime_ns
            note = self._files.published() if changed_at != self._changed_at else None
            if note is not None:
                checkpoint = Checkpoint.parse(note.text)
                self._changed_at = changed_at
                self._mark = _mark(checkpoint.size, checkpoint.root)
        return self._mark


class HeadFiles:
    """The files below the directory `ledger` of one node.  All methods block, and raise OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def archive(self, note: Note, *, is_newest: bool) -> None:
        """Keep a head that the quorum cosigned, and make it the beacon when it is the newest."""
        path = self._directory / HEADS / f"{Checkpoint.parse(note.text).size}.note"
        there = read_if_there(path)
        joined = note if there is None else _join(Note.parse(there), note)
        if there != joined.encode():
            _write(path, joined.encode())
        if is_newest:
            _write(self._directory / BEACON, joined.encode())

    def beacon(self) -> Beacon | None:
        """Return the beacon, also of an earlier run; None when there is none.  Raises NoteError."""
        path = self._directory / BEACON
        data = read_if_there(path)
        return None if data is None else Beacon(Note.parse(data), path.stat().st_mtime)

    def refusals(self) -> tuple[str, ...]:
        """Return what witnesses had against this log, a sentence each."""
        directory = self._directory / REFUSED
        paths = sorted(directory.glob("*.json")) if directory.is_dir() else []
        return tuple(_why(path) for path in paths)

    def refusal_path(self, key: VerifierKey) -> Path:
        """Return where the refusal of a witness is kept."""
        return self._directory / REFUSED / f"{key.id.hex()}.json"

    def refuse(self, key: VerifierKey, cause: Cause, why: str, note: Note, seconds: int) -> None:
        """Keep a refusal, with the head that was refused."""
        told = {
            "witness": str(key),
            "cause": cause,
            "time": seconds,
            "why": why,
            "submitted": note.encode().decode(),
        }
        text = json.dumps(told, indent=2, ensure_ascii=False)
        _write(self.refusal_path(key), f"{text}\n".encode())


def _mark(size: int, root: bytes) -> str:
    return f"{size}.{root[:8].hex()}"


def _join(older: Note, newer: Note) -> Note:
    """Return the older note with the lines of keys that it does not have: what was seen first stays."""
    if older.text != newer.text:
        raise NoteError("two heads of one size were cosigned: one of them is a fork")
    there = {(line.name, line.key_id) for line in older.signatures}
    return older.signed(*(x for x in newer.signatures if (x.name, x.key_id) not in there))


def _why(path: Path) -> str:
    try:
        return str(json.loads(path.read_bytes())["why"])
    except (OSError, ValueError, KeyError, TypeError):
        return f"a witness refused this log; {path} says so, and cannot be read"


def _write(path: Path, data: bytes) -> None:
    make_directory(path.parent, PUBLIC_DIRECTORY)
    write_durably(path, data, PUBLIC_FILE)
