"""V1: the cosigned heads, and what they say of time: a head's witnesses give each leaf an earliest and a latest time.

The earliest time of a leaf is that at which the quorum had met for the last head without it; its latest is that at
which the first witness saw a head with it.  One honest witness in the quorum is enough for both.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from node.ledger.canonical import MAX_NUMBER
from node.ledger.checkpoint import Checkpoint
from node.ledger.keys import NoteError
from node.ledger.note import MAX_NOTE_BYTES, Note
from node.ledger.quorum import NONE, Cosigned, Policy
from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, grouped
from node.ledger.verify.trust import Trust

SECOND_US = 1_000_000
CHECKPOINT = "log/checkpoint"


class Head(NamedTuple):
    """A head that the quorum cosigned: first seen, and when that was enough, µs; both 0 when nobody is asked for."""

    size: int
    root: bytes
    seen: int
    met: int
    file: str
    note: Note


class Bounds(NamedTuple):
    """The earliest and latest time of a leaf, µs; None: nothing is known."""

    earliest: int | None
    latest: int | None


class Heads:
    """The good heads of the evidence, by size, and the newest checkpoint that the log signed."""

    def __init__(self, found: Iterable[Head], published: Checkpoint | None) -> None:
        self.all = sorted(found, key=lambda head: head.size)
        self.published = published
        self._sizes = [head.size for head in self.all]
        self._met = list(accumulate((head.met for head in self.all), max))
        seen = [head.seen or MAX_NUMBER for head in reversed(self.all)]
        self._seen = list(accumulate(seen, min))[::-1]
        self.has_times = any(head.met for head in self.all)
        self._by_head = {(head.size, head.root): head for head in self.all}

    @property
    def newest(self) -> Head:
        """The one that is judged."""
        return self.all[-1]

    def find(self, size: int, root: bytes) -> Head | None:
        """Return the head of this size and root."""
        return self._by_head.get((size, root))

    def bounds(self, index: int) -> Bounds:
        """Return when a leaf can have been made."""
        if not self.has_times:
            return Bounds(None, None)
        place = bisect_right(self._sizes, index)
        latest = self._seen[place] if place < len(self._seen) else MAX_NUMBER
        return Bounds(
            self._met[place - 1] if place else None, None if latest == MAX_NUMBER else latest
        )


def read_heads(files: EvidenceFiles, trust: Trust, findings: Findings) -> Heads:
    """Return the heads that hold; the others are findings."""
    found: list[Head] = []
    total = 0
    try:
        for file, data in files.heads():
            total += 1
            head = _examine(file, data, trust, findings)
            if head is not None:
                found.append(head)
    except Unreadable as error:
        findings.fail(Check.V1_MISSING, str(error))
    if not total:
        findings.fail(Check.V1_MISSING, "there is no cosigned head below log/heads")
    heads = Heads(found, _published(files, trust, findings))
    if found:
        _tell(heads, trust, findings, _sm2(files, heads.newest, trust, findings))
    return heads


def _sm2(files: EvidenceFiles, newest: Head, trust: Trust, findings: Findings) -> str:
    """Check the log's SM2 lines of the newest cosigned head and of the checkpoint; return what there is to say.

    A check takes 20 ms, and these two heads have all leaves of the others.
    """
    if not trust.sm2_keys:
        return ""
    if trust.check_sm2 is None:
        return ", SM2 lines not checked: no library for them here"
    known = {(key.name, key.id): key for key in trust.sm2_keys}
    found = 0
    for file, note in ((newest.file, newest.note), (CHECKPOINT, _read_checkpoint(files))):
        if note is None:
            continue
        for line in note.signatures:
            key = known.get((line.name, line.key_id))
            found += key is not None
            if key and not trust.check_sm2(key.public, note.text.encode(), line.data):
                findings.fail(
                    Check.V1_SM2, f"{file}: the SM2 line of {key.name} is wrong", file=file
                )
    return f", {found} SM2 lines checked" if found else ", no SM2 line to check"


def _read_checkpoint(files: EvidenceFiles) -> Note | None:
    try:
        data = files.find(CHECKPOINT, MAX_NOTE_BYTES)
        return None if data is None else Note.parse(data)
    except (Unreadable, NoteError):
        return None  # which is told where it is judged


def _examine(file: str, data: bytes, trust: Trust, findings: Findings) -> Head | None:
    try:
        note = Note.parse(data)
        cosigned = trust.policy.examine(note)
    except NoteError as error:
        findings.fail(Check.V1_SIGNATURE, f"{file}: {error}", file=file)
        return None
    if not cosigned.is_met:
        seen = ", ".join(cosigned.witnesses) or "nobody"
        findings.fail(Check.V1_QUORUM, f"{file} is cosigned by {seen}: no quorum", file=file)
    first, met = _times(cosigned, trust.policy)
    checkpoint = cosigned.checkpoint
    return Head(checkpoint.size, checkpoint.root, first, met, file, note)


def _times(cosigned: Cosigned, policy: Policy) -> tuple[int, int]:
    by_time = sorted(cosigned.witnesses.items(), key=lambda each: each[1])
    if not by_time:
        return 0, 0
    met = next(
        (
            seconds
            for place, (_, seconds) in enumerate(by_time, 1)
            if policy.is_quorum([name for name, _ in by_time[:place]])
        ),
        by_time[-1][1],
    )
    return by_time[0][1] * SECOND_US, met * SECOND_US


def _published(files: EvidenceFiles, trust: Trust, findings: Findings) -> Checkpoint | None:
    """The newest checkpoint: it may have leaves that nobody has cosigned yet."""
    try:
        data = files.find(CHECKPOINT, MAX_NOTE_BYTES)
        return None if data is None else trust.policy.examine(Note.parse(data)).checkpoint
    except Unreadable as error:
        findings.fail(Check.V1_MISSING, str(error), file=CHECKPOINT)
    except NoteError as error:
        findings.fail(Check.V1_SIGNATURE, f"{CHECKPOINT}: {error}", file=CHECKPOINT)
    return None


def _tell(heads: Heads, trust: Trust, findings: Findings, sm2: str) -> None:
    count = f"{grouped(len(heads.all))} head{'s' if len(heads.all) > 1 else ''}"
    if trust.policy.quorum == NONE or not heads.has_times:
        text = (
            f"{count}, quorum none: this shows no more than the word of who has the log's key{sm2}"
        )
        findings.disclose("V1", text)
        findings.tell("V1", text)
        return
    longest = _longest([head.met for head in heads.all]) // SECOND_US
    findings.tell(
        "V1", f"{count}, quorum {trust.policy.quorum}, longest uncosigned span {longest} s{sm2}"
    )


def _longest(times: Sequence[int]) -> int:
    return max((after - before for before, after in pairwise(times)), default=0)
