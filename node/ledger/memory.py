"""Memory: what a witness keeps in its directory, so that it never cosigns two trees that disagree.

    key                       its private key, for its owner alone; the memory is worth nothing without it
    lock                      held while a witness runs on the directory
    heads/<origin hash>       the newest checkpoint of each log, with the log's lines and the witness's
    evidence/<…>.json         what a log signed and should not have

Laws.  A head is in durable storage when `keep` returns, and only then may its cosignature be seen.  One file is put in
the place of the other, so a crash leaves the old head or the new one, and of the new one nobody has seen the
cosignature yet.  What cannot be read stops the witness: it would forget.  A directory that is older than what the
witness has cosigned must not be put in its place; the key goes with it for that reason.
"""

import fcntl
import json
import os
import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from node.errors import Kind, RegistryError
from node.ledger.checkpoint import Cosigner
from node.ledger.durable import PRIVATE_FILE, make_directory, write_durably
from node.ledger.keys import NoteError, VerifierKey
from node.ledger.lanefile import sync_directory
from node.ledger.sm2 import CHECKS_WITH_SM2
from node.ledger.submission import origin_hash
from node.ledger.witnessing import Evidence, Refusal, Rules, Seen, watched
from resolver.keys.files import read_key_file, write_new

KEY_FILE = "key"
MAX_EVIDENCE = 100  # files of each sort for a log: one proves as much as many

_LOCK_FILE, _HEADS, _EVIDENCE = "lock", "heads", "evidence"
_HEAD_NAME = re.compile("[0-9a-f]{64}")


def make_key(directory: Path, name: str, seed: bytes) -> Cosigner:
    """Make the key of a witness in a directory that has none.  Raises RegistryError, OSError."""
    try:
        cosigner = Cosigner(name, seed)
    except NoteError as error:
        raise RegistryError(Kind.INVALID, f"{error}.") from error
    make_directory(directory)
    path = directory / KEY_FILE
    try:
        write_new(path, f"{cosigner.secret}\n".encode())
    except FileExistsError as error:
        sentence = f"{path} is there already; a witness keeps its key for life."
        raise RegistryError(Kind.CONFLICT, sentence) from error
    sync_directory(directory)
    return cosigner


def load_key(directory: Path) -> Cosigner:
    """Return the key of a witness.  Raises RegistryError."""
    path = directory / KEY_FILE
    try:
        return Cosigner.parse(read_key_file(path).decode())
    except FileNotFoundError as error:
        sentence = (
            f"{path} is not there; make it with: idnode witness key --state {directory} --name …"
        )
        raise RegistryError(Kind.NOT_FOUND, sentence) from error
    except (ValueError, OSError) as error:
        raise RegistryError(Kind.INVALID, f"{path} holds no key of a witness: {error}.") from error


class Memory:
    """The directory of a running witness; one process holds it."""

    def __init__(self, directory: Path, rules: Rules, lock: int) -> None:
        self.rules = rules
        self._directory = directory
        self._lock = lock
        self._seen: dict[str, Seen] = {}
        self.seen = MappingProxyType(self._seen)  # by origin

    @classmethod
    def open(cls, directory: Path, keys: Sequence[VerifierKey]) -> "Memory":
        """Take the directory, and remember what it says of the logs that have these keys.  Raises RegistryError."""
        cosigner = load_key(directory)
        try:
            rules = Rules(watched(keys), cosigner, CHECKS_WITH_SM2)
        except NoteError as error:
            raise RegistryError(Kind.INVALID, f"{error}.") from error
        for name in (_HEADS, _EVIDENCE):
            make_directory(directory / name)
        made = cls(directory, rules, _take(directory / _LOCK_FILE))
        try:
            made._read_heads()
        except RegistryError:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._lock)

    def keep(self, seen: Seen) -> None:
        """Remember a head; it is in durable storage when this returns.  Raises OSError, and then the old one stands.

        A cosignature that could not be kept is never shown, so whichever head a crash then leaves is a true one.
        """
        origin = seen.checkpoint.origin
        write_durably(self._directory / _HEADS / origin_hash(origin), seen.note.encode())
        self._seen[origin] = seen

    def keep_evidence(self, body: bytes, refusal: Refusal, seconds: int) -> Path | None:
        """Keep a submission that its log should not have signed, once.  Raises OSError.

        Returns where it is, or None when it was kept before or there is enough of it.
        """
        log = origin_hash(refusal.origin)[:16]
        start = f"{log}-{refusal.evidence}-"
        path = self._directory / _EVIDENCE / f"{start}{_digest(body)}.json"
        kept = sum(1 for each in path.parent.iterdir() if each.name.startswith(start))
        if path.exists() or kept >= MAX_EVIDENCE:
            return None
        seen = self._seen.get(refusal.origin)
        told = {
            "kind": refusal.evidence,
            "time": seconds,
            "answer": refusal.status,
            "why": refusal.text.strip(),
            "cosigned": seen.note.encode().decode() if seen else None,
            "submitted": body.decode(),
        }
        write_durably(path, json.dumps(told, indent=2, ensure_ascii=False).encode() + b"\n")
        return path

    def count_evidence(self, kind: Evidence) -> int:
        """Return how many files of evidence there are."""
        return sum(
            1 for each in (self._directory / _EVIDENCE).iterdir() if f"-{kind}-" in each.name
        )

    def _read_heads(self) -> None:
        """Read every head, also those of logs that are not watched now: a file that was damaged is always told."""
        for path in sorted((self._directory / _HEADS).iterdir()):
            if _HEAD_NAME.fullmatch(path.name) is None:  # a draft that a crash left
                continue
            try:
                seen = Seen.read(path.read_bytes(), self.rules.cosigner.key)
                if origin_hash(seen.checkpoint.origin) != path.name:
                    raise NoteError("it is the head of another log")
            except (ValueError, OSError) as error:
                sentence = (
                    f"{path} cannot be believed ({error}); without it this witness would forget what it cosigned. "
                    "Put the newest copy in its place, or retire this witness and make one with a new key."
                )
                raise RegistryError(Kind.INVALID, sentence) from error
            self._seen[seen.checkpoint.origin] = seen


def _digest(body: bytes) -> str:
    """Name a submission by its checkpoint: the same one with another proof is no more evidence."""
    text = body.partition(b"\n\n")[2].partition(b"\n\n")[0]
    return sha256(text).hexdigest()[:16]


def _take(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        sentence = f"Another witness runs on {path.parent}; one key is used by one witness."
        raise RegistryError(Kind.IN_USE, sentence) from error
    return descriptor
