"""Witnessing: when a witness cosigns a checkpoint, and what it answers when it does not (C2SP tlog-witness).

Laws.  Consistency is judged from the newest tree that the witness itself has cosigned, never from what the log says
that was.  What was judged is in durable storage before its cosignature is shown to anybody, and nothing else is judged
in between: `Rules` decide, its caller keeps those two.  No cosignature is dated before an earlier one of the same log.

What a log signed and should not have is evidence, also when the answer is only 409: two roots of one size, or the root
of an empty tree that is not it, prove a *fork* to everybody.  A proof that fails is a *doubt*: whoever saw a genuine
checkpoint can send it with a wrong proof.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from node.ledger.checkpoint import Checkpoint, Cosigner
from node.ledger.keys import NoteError, SignatureType, VerifierKey
from node.ledger.note import CHECKS, Check, Note, cosigned_at, verify
from node.ledger.submission import SIZE_TYPE, Submission
from node.ledger.tlog import EMPTY_ROOT, ProofError, verify_consistency

MAX_LOG_KEYS = 256  # that one witness watches
MAX_CLOCK_BEHIND_SECONDS = 5  # that are worth asking again for

TEXT_TYPE = "text/plain; charset=utf-8"

Logs = Mapping[str, tuple[VerifierKey, ...]]
"""The keys of the logs that are watched, by origin."""


class Evidence(StrEnum):
    """What a refused checkpoint says of its log."""

    FORK = "fork"
    DOUBT = "doubt"


class Seen(NamedTuple):
    """The newest checkpoint of a log that was cosigned, with the log's lines and ours, and when, POSIX seconds."""

    checkpoint: Checkpoint
    note: Note
    seconds: int

    @classmethod
    def read(cls, data: bytes, witness: VerifierKey) -> "Seen":
        """Read what was kept.  Raises NoteError when the witness did not write it."""
        note = Note.parse(data)
        ((_, line),) = verify(note, [witness])
        return cls(Checkpoint.parse(note.text), note, cosigned_at(line.data))


class Refusal(NamedTuple):
    """An answer without a cosignature."""

    status: int
    text: str
    evidence: Evidence | None = None
    origin: str = ""
    size: int = 0
    content_type: str = TEXT_TYPE
    retry_after: int = 0  # seconds; 0: asking again is of no use


class Cosigned(NamedTuple):
    """A checkpoint that was cosigned: to be kept first, then answered."""

    seen: Seen
    line: str


@dataclass(frozen=True, slots=True)
class _Case:
    """A submission whose log is known and has signed it, and what was cosigned before."""

    submission: Submission
    checkpoint: Checkpoint
    seen: Seen | None

    @property
    def known(self) -> tuple[int, bytes]:
        return (self.seen.checkpoint.size, self.seen.checkpoint.root) if self.seen else (0, b"")

    def refuse(self, status: int, text: str, evidence: Evidence | None = None) -> Refusal:
        return Refusal(status, text, evidence, self.checkpoint.origin, self.checkpoint.size)


def watched(keys: Sequence[VerifierKey]) -> Logs:
    """Return the logs that have these keys, each under its key's name.  Raises NoteError."""
    if not 0 < len(keys) <= MAX_LOG_KEYS:
        raise NoteError(f"a witness watches logs with 1 to {MAX_LOG_KEYS} keys")
    logs: dict[str, tuple[VerifierKey, ...]] = {}
    for key in keys:
        if key.type is SignatureType.COSIGNATURE:
            raise NoteError(f"the key of {key.name} is that of a witness, not of a log")
        logs[key.name] = (*logs.get(key.name, ()), key)
    return logs


@dataclass(frozen=True, slots=True)
class Rules:
    """Which logs are watched, who cosigns, and how the logs' signatures are checked."""

    logs: Logs
    cosigner: Cosigner
    checks: Mapping[SignatureType, Check] = field(default_factory=lambda: CHECKS)

    def judge(self, body: bytes, seen: Mapping[str, Seen], now: int) -> Cosigned | Refusal:
        """Decide about a submission at this time, POSIX seconds, in the order of the specification.

        `seen` is the newest that was cosigned of each log, by origin.
        """
        try:
            submission = Submission.parse(body)
            checkpoint = Checkpoint.parse(submission.note.text)
        except NoteError as error:
            return Refusal(400, f"{error}\n")
        keys = self.logs.get(checkpoint.origin)
        if keys is None:
            return Refusal(404, "this log is not watched here\n")
        try:
            verified = verify(submission.note, keys, self.checks)
        except NoteError as error:
            return Refusal(403, f"{error}\n")
        case = _Case(submission, checkpoint, seen.get(checkpoint.origin))
        signed = Note(submission.note.text).signed(*(line for _, line in verified))
        return _inconsistency(case) or _clock_behind(case, now) or self._cosign(case, signed, now)

    def _cosign(self, case: _Case, signed: Note, now: int) -> Cosigned:
        line = self.cosigner.cosign(case.checkpoint, now)
        return Cosigned(Seen(case.checkpoint, signed.signed(line), now), line.line)


def _inconsistency(case: _Case) -> Refusal | None:
    """Return what is wrong with a signed checkpoint, if anything is."""
    submission, checkpoint = case.submission, case.checkpoint
    size, root = case.known
    is_fork = case.seen is not None and checkpoint.size == size and checkpoint.root != root
    evidence = Evidence.FORK if is_fork else None
    if submission.old > checkpoint.size:
        return case.refuse(400, "the old size is larger than the checkpoint\n", evidence)
    if submission.old != size:
        return case.refuse(409, f"{size}\n", evidence)._replace(content_type=SIZE_TYPE)
    if checkpoint.size == 0 and checkpoint.root != EMPTY_ROOT:
        return case.refuse(422, "this is not the root of an empty tree\n", Evidence.FORK)
    if is_fork:
        return case.refuse(422, "another root of this size was cosigned here\n", evidence)
    if submission.old == 0:
        return case.refuse(422, "an empty tree needs no proof\n") if submission.proof else None
    try:
        verify_consistency(size, root, checkpoint.size, checkpoint.root, submission.proof)
    except ProofError as error:
        doubt = Evidence.DOUBT if checkpoint.size > size else None
        return case.refuse(422, f"{error}\n", doubt)
    return None


def _clock_behind(case: _Case, now: int) -> Refusal | None:
    """A clock that was set back would date this cosignature before the last one."""
    behind = case.seen.seconds - now if case.seen else 0
    if behind <= 0:
        return None
    refused = case.refuse(503, f"the clock of this witness is {behind} s behind\n")
    is_soon = behind <= MAX_CLOCK_BEHIND_SECONDS
    return refused._replace(retry_after=behind if is_soon else 0)
