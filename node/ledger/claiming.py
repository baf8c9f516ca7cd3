"""Claiming: the node's side of an acknowledgement: the count of a closed campaign or day goes to the top-level node.

The top-level node is the witness `toplevel` of the log's policy, or its first one that has a URL.  What it signs is
checked, and put into the log as an `ack` leaf.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx

from node.ledger.acknowledging import (
    CLAIM_PATH,
    Acknowledged,
    Claim,
    ClaimError,
    leaf_of,
    make_claim,
)
from node.ledger.checkpoint import Checkpoint
from node.ledger.dayacknowledging import DAY_CLAIM_PATH, DayAcknowledged, make_day_claim
from node.ledger.heads import HeadFiles
from node.ledger.inbox import append
from node.ledger.keys import NoteError
from node.ledger.leaf import Block, Campaign, parse
from node.ledger.logfiles import LogDamaged, LogFiles
from node.ledger.note import Note, verify
from node.ledger.quorum import Policy, Witness
from node.ledger.submission import MAX_ANSWER_BYTES

CONFLICT, UNKNOWN = 409, 404
ANSWER_SECONDS = 10.0
TRIES = 30  # of a claim whose tree has been overtaken
_ELSE = "it acknowledges something else than was claimed"

Pause = Callable[[], None]
"""Wait for a newer cosigned head before the next try."""


class NotAcknowledged(Exception):
    """The top-level node does not confirm the count; the text says why."""


class Refused(NotAcknowledged):
    """It has answered, and does not confirm this one; it may confirm another."""


def acknowledge(
    directory: Path, number: int, policy: Policy, pause: Pause
) -> tuple[Acknowledged, int]:
    """Have the count of a closed campaign confirmed; return what was confirmed, and the index of the leaf that has it.

    `directory` is that of the ledger.  Asked for again, it is the same confirmation, and the same leaf.

    Raises NotAcknowledged, ClaimError, NotTaken, LogDamaged, NoteError, OSError.
    """
    files, witness = LogFiles(directory), _who_is_asked(policy)
    note, claim = _ask_until_current(files, partial(_of_campaign, number), witness, pause)
    told = Acknowledged.parse(note.text)
    closing = parse(claim.closing.line)
    if not isinstance(closing, Campaign) or (told.campaign, told.observed, told.protocols) != (
        number,
        closing.observed,
        closing.protocols or {},
    ):
        raise NotAcknowledged(_ELSE)
    _check_told(files, told, claim)
    return told, append(directory, leaf_of(note, told))


def acknowledge_day(directory: Path, day: str, policy: Policy, pause: Pause) -> DayAcknowledged:
    """Have the count of a closed day confirmed, put the leaf into the log, and return what was confirmed.

    As `acknowledge`; the top-level node has the rows of the day by then, or does not confirm it.
    """
    files, witness = LogFiles(directory), _who_is_asked(policy)
    note, claim = _ask_until_current(files, partial(_of_day, day), witness, pause)
    told = DayAcknowledged.parse(note.text)
    if told.day != day:
        raise NotAcknowledged(_ELSE)
    _check_told(files, told, claim)
    append(directory, leaf_of(note, told))
    return told


def _who_is_asked(policy: Policy) -> Witness:
    found = policy.acknowledging()
    if found is None:
        raise NotAcknowledged(
            "the log's policy gives no URL of the top-level node: nobody can be asked"
        )
    return found


def _of_campaign(number: int, checkpoint: Checkpoint, files: LogFiles) -> tuple[str, Claim]:
    lines = files.leaves(checkpoint.size)
    return CLAIM_PATH, make_claim(checkpoint, number, lines, files.hashes(checkpoint.size))


def _of_day(day: str, checkpoint: Checkpoint, files: LogFiles) -> tuple[str, Claim]:
    lines = files.leaves(checkpoint.size)
    return DAY_CLAIM_PATH, make_day_claim(checkpoint, day, lines, files.hashes(checkpoint.size))


Claiming = Callable[[Checkpoint, LogFiles], tuple[str, Claim]]
"""Return where a claim goes, and the claim, of a tree that was cosigned.  Raises ClaimError."""


def _ask_until_current(
    files: LogFiles, make: Claiming, witness: Witness, pause: Pause
) -> tuple[Note, Claim]:
    why = ""
    for _ in range(TRIES):
        try:
            found = _ask(files, make, witness)
        except ClaimError as error:
            found, why = None, f" ({error})"
        if found is not None:
            return found
        pause()
    raise NotAcknowledged(f"no cosigned tree has what is to be acknowledged yet; try again{why}")


def _ask(files: LogFiles, make: Claiming, witness: Witness) -> tuple[Note, Claim] | None:
    """Return the signed note and what was claimed, None when the tree was overtaken.

    Raises ClaimError when no tree is cosigned yet that has the closing leaf and a block before it; NotAcknowledged.
    """
    beacon = HeadFiles(files.directory).beacon()
    if beacon is None:
        return None
    checkpoint = Checkpoint.parse(beacon.note.text)
    path, claim = make(checkpoint, files)
    url = witness.url.rstrip("/") + path
    try:
        with httpx.Client(trust_env=False, timeout=ANSWER_SECONDS) as http:
            answer = http.post(url, content=claim.encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotAcknowledged(f"{url}: {type(error).__name__}: {error}") from error
    if answer.status_code == CONFLICT:
        return None
    if answer.status_code == UNKNOWN:
        raise NotAcknowledged(
            f"{witness.name} is a witness and acknowledges no counts ({url}: 404)"
        )
    if not answer.is_success or len(answer.content) > MAX_ANSWER_BYTES:
        raise Refused(f"{url}: {answer.status_code}: {answer.text[:200]}")
    return _signed_by(witness, answer.content), claim


def _signed_by(witness: Witness, data: bytes) -> Note:
    try:
        note = Note.parse(data)
        verify(note, [witness.key])
    except NoteError as error:
        raise NotAcknowledged(f"its answer is not to be believed: {error}") from error
    return note


def _check_told(files: LogFiles, told: Acknowledged | DayAcknowledged, claim: Claim) -> None:
    """What was signed, perhaps for an earlier claim, is of a head of ours, and says what the log says."""
    head = files.head(told.size)
    if head is None:
        raise LogDamaged(f"the head of {told.size} leaves, which was cosigned, is not here")
    ours, block = Checkpoint.parse(head.text), parse(claim.block.line)
    if (told.origin, told.root, told.leaf) != (ours.origin, ours.root, claim.closing.at):
        raise NotAcknowledged(_ELSE)
    if not isinstance(block, Block) or told.totals != block.total:
        raise NotAcknowledged("it acknowledges other totals than the log has: R4 would not hold")
