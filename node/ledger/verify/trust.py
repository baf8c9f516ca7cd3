"""Trust: what an auditor brings himself, and nothing of which is read from the evidence: keys, quorum, memory."""

from dataclasses import dataclass, replace
from pathlib import Path

from node.ledger.checkpoint import Checkpoint, read_checkpoint
from node.ledger.keys import NoteError, SignatureType, VerifierKey
from node.ledger.note import MAX_NOTE_BYTES, Check, Note
from node.ledger.quorum import TOPLEVEL, Log, Policy, PolicyError, Witness

MAX_KEY_FILE_BYTES = 65_536


class WrongUse(Exception):
    """What the auditor gave cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The log that is judged, who has to have cosigned it, and who of these is the top-level node."""

    origin: str
    policy: Policy
    toplevel: tuple[Witness, ...] = ()
    sm2_keys: tuple[VerifierKey, ...] = ()
    check_sm2: Check | None = None  # None: there is no library here that can

    @property
    def keys(self) -> tuple[VerifierKey, ...]:
        """The keys of the log."""
        return tuple(log.key for log in self.policy.logs)


def read_trust(
    key_file: Path, policy_file: Path, check_sm2: Check | None = None, toplevel: str = ""
) -> Trust:
    """Read the keys of a log, a verifier key a line, and the policy of an auditor.  Raises WrongUse.

    A policy that lists logs must list this one.  `toplevel` is the name that the top-level node, a witness or a group,
    has in the policy; empty: `toplevel`, if it has that.
    """
    keys = read_log_keys(key_file)
    try:
        policy = Policy.parse(read_given(policy_file, 1_048_576))
    except PolicyError as error:
        raise WrongUse(f"{policy_file}: {error}") from error
    listed = {log.key for log in policy.logs}
    if listed and not listed & set(keys):
        raise WrongUse(f"{policy_file} is about other logs than {key_file}")
    origin = keys[0].name
    sm2 = [key for key in _read_keys(key_file) if key.type is SignatureType.SM2_SM3]
    if any(key.name != origin for key in sm2):
        raise WrongUse(f"{key_file} has keys of more than one log")
    named = policy.named(toplevel or TOPLEVEL)
    if toplevel and not named:
        raise WrongUse(f"{policy_file} has no witness or group {toplevel}")
    return Trust(origin, replace(policy, logs=tuple(map(Log, keys))), named, tuple(sm2), check_sm2)


def read_log_keys(path: Path) -> tuple[VerifierKey, ...]:
    """Return the Ed25519 keys of one log; there is at least one.  Raises WrongUse."""
    keys = tuple(key for key in _read_keys(path) if key.type is SignatureType.ED25519)
    if not keys:
        raise WrongUse(f"{path} has no Ed25519 key")
    if len({key.name for key in keys}) != 1:
        raise WrongUse(f"{path} has keys of more than one log")
    return keys


def read_remembered(state_file: Path, trust: Trust) -> Note | None:
    """Return the head that was accepted last; None when there is no such file yet.  Raises WrongUse."""
    if not state_file.exists():
        return None
    try:
        note = Note.parse(read_given(state_file, MAX_NOTE_BYTES))
        read_checkpoint(note, trust.keys)
    except NoteError as error:
        raise WrongUse(f"{state_file} is no head of {trust.origin}: {error}") from error
    return note


def remember(state_file: Path, note: Note) -> None:
    """Keep a head that was accepted.  Raises WrongUse."""
    draft = state_file.with_name(f"{state_file.name}.new")
    try:
        draft.write_bytes(note.encode())
        draft.replace(state_file)
    except OSError as error:
        raise WrongUse(f"{state_file} cannot be written: {error.strerror}") from error


def head_of(note: Note) -> tuple[int, bytes]:
    """Return size and root of a head."""
    checkpoint = Checkpoint.parse(note.text)
    return checkpoint.size, checkpoint.root


def read_given(path: Path, limit: int) -> bytes:
    """Return the bytes of a file that the auditor named.  Raises WrongUse."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise WrongUse(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > limit:
        raise WrongUse(f"{path} has more than {limit} bytes")
    return data


def _read_keys(path: Path) -> list[VerifierKey]:
    try:
        lines = read_given(path, MAX_KEY_FILE_BYTES).decode().split()
        return [VerifierKey.parse(line) for line in lines]
    except (NoteError, UnicodeDecodeError) as error:
        raise WrongUse(f"{path} has a line that is no verifier key: {error}") from error
