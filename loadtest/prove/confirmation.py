"""Confirmation: the closing of a campaign is cosigned, and its count acknowledged by the top-level node; or why not.

Whoever does not confirm makes the proof fail, and not its report: that says what is missing.  What is done here is what
`idnode audit acknowledge` does, by the same functions.
"""

import json
import time
from typing import NamedTuple

import httpx

from loadtest.prove.scene import NoScene, Scene
from node.ledger.acknowledging import COUNTS_PATH, Acknowledged, ClaimError
from node.ledger.checkpoint import Checkpoint
from node.ledger.claiming import NotAcknowledged, acknowledge
from node.ledger.heads import HeadFiles
from node.ledger.inbox import NotTaken
from node.ledger.keys import NoteError
from node.ledger.note import Note, verify
from node.ledger.quorum import PolicyError

COSIGNED_SECONDS = 60.0
COUNTS_SECONDS = 10.0  # for the list of what the top-level node has kept
CLAIM_SECONDS = 0.2  # between two claims, while a newer tree is cosigned
_PAUSE_SECONDS = 0.05
_MISSING = (ClaimError, NotAcknowledged, NotTaken, NoScene, NoteError, PolicyError)


class Confirmation(NamedTuple):
    """What the top-level node has confirmed, and the leaf that has it; with `missing`, a sentence, it has nothing."""

    protocols: dict[str, int] | None = None
    leaf: int | None = None
    note: str = ""
    witness: str = ""  # its name in the log's policy
    missing: str = ""


def confirm(scene: Scene, number: int, closed: int) -> Confirmation:
    """Have the closing leaf of a campaign cosigned, and its count acknowledged.  Raises LogDamaged, OSError."""
    try:
        witness = scene.witness.name
        wait_for_head(scene, closed + 1)
        _, leaf = acknowledge(scene.ledger, number, scene.policy, lambda: time.sleep(CLAIM_SECONDS))
        wait_for_head(scene, leaf + 1)
        kept, note = kept_by_toplevel(scene, number)
    except _MISSING as error:
        return Confirmation(missing=str(error))
    return Confirmation(kept.protocols, leaf, note.encode().decode(), witness)


def wait_for_head(scene: Scene, size: int) -> Checkpoint:
    """Wait until the quorum has cosigned a tree with so many leaves.  Raises NoScene, NoteError."""
    deadline = time.monotonic() + COSIGNED_SECONDS
    while time.monotonic() < deadline:
        beacon = HeadFiles(scene.ledger).beacon()
        if beacon is not None and beacon.size >= size:
            return Checkpoint.parse(beacon.note.text)
        time.sleep(_PAUSE_SECONDS)
    raise NoScene(f"no head of {size} leaves was cosigned in {COSIGNED_SECONDS:.0f} s")


def kept_by_toplevel(scene: Scene, number: int) -> tuple[Acknowledged, Note]:
    """Ask the top-level node what it has kept, and check its signature.  Raises NoScene, NoteError."""
    witness, origin = scene.witness, scene.origin
    url = witness.url.rstrip("/") + COUNTS_PATH
    try:
        with httpx.Client(trust_env=False, timeout=COUNTS_SECONDS) as http:
            told = json.loads(http.get(url).content)["counts"]
        found = [
            x["note"].encode() for x in told if (x["origin"], x["campaign"]) == (origin, number)
        ]
    except (httpx.HTTPError, AttributeError, ValueError, LookupError, TypeError) as error:
        raise NoScene(f"{url}: {error}") from error
    if not found:
        raise NoScene(f"{url} knows nothing of campaign {number} of {origin}")
    note = Note.parse(found[0])
    verify(note, [witness.key])
    return Acknowledged.parse(note.text), note
