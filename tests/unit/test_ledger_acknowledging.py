"""What the top-level node acknowledges of a campaign: only what follows from a tree that it has cosigned."""

from dataclasses import replace
from pathlib import Path

import pytest

from node.ledger.acknowledging import (
    Acknowledged,
    Claim,
    ClaimError,
    confirm,
    judge,
    leaf_of,
    make_claim,
)
from node.ledger.keys import NoteError
from node.ledger.leaf import Block, Campaign, parse
from node.ledger.logfiles import LOG, LogFiles
from node.ledger.note import verify
from node.ledger.quorum import Policy
from tests.support.leaves import BLOCK as FIRST_BLOCK
from tests.support.leaves import OPEN as FIRST_CAMPAIGN
from tests.support.logs import SECONDS, WrittenLog, make_leaves

HASH = bytes(32)
OPEN = replace(FIRST_CAMPAIGN, number=7)
CLOSED = replace(OPEN, state="close", time=1_500_000, observed=30, protocols={"udp": 20, "tcp": 10})
BLOCK = replace(
    FIRST_BLOCK,
    sequence=(1, 31),
    records=(1, 30, 0, 0, 0, 0),
    successes=(1, 29, 0, 0, 0, 0),
    total=(1, 29, 0, 0, 0, 0),
)


def log_of(*leaves: Campaign | Block) -> WrittenLog:
    log = WrittenLog()
    log.append([leaf.line() for leaf in leaves])
    return log


def claim_of(log: WrittenLog) -> Claim:
    return make_claim(log.checkpoint(), 7, log.leaves, log.read(log.size))


def test_what_the_log_says_is_acknowledged_and_signed() -> None:
    log = log_of(OPEN, BLOCK, CLOSED)
    claim = Claim.parse(claim_of(log).encode())
    told = judge(claim, log.checkpoint())
    assert (told.observed, told.protocols, told.totals) == (30, CLOSED.protocols, BLOCK.total)
    note = confirm(told, log.witnesses[0], SECONDS)
    verify(note, [log.witnesses[0].key])
    assert Acknowledged.parse(note.text) == told
    leaf = leaf_of(note, told)
    assert parse(leaf.line()) == leaf


def test_the_form_is_the_one_that_is_documented() -> None:
    told = Acknowledged("log.example", 3, HASH, 7, 2, 30, {"udp": 20, "tcp": 10}, BLOCK.total)
    assert told.text.splitlines() == [
        "idnode acknowledgement",
        "log.example",
        f"3 {'A' * 43}=",
        "campaign 7 leaf 2",
        "observed 30",
        "protocol tcp 10",
        "protocol udp 20",
        "totals 1 29 0 0 0 0",
    ]


def test_another_number_does_not_follow_from_the_tree() -> None:
    log = log_of(OPEN, BLOCK, CLOSED)
    claim = claim_of(log)
    forged = replace(CLOSED, observed=31, protocols={"udp": 21, "tcp": 10}).line()
    with pytest.raises(ClaimError, match="another root"):
        judge(claim._replace(closing=claim.closing._replace(line=forged)), log.checkpoint())


def test_sums_that_do_not_add_up_are_refused() -> None:
    log = log_of(OPEN, BLOCK, replace(CLOSED, observed=31))
    with pytest.raises(ClaimError, match="do not come to"):
        judge(claim_of(log), log.checkpoint())


def test_a_claim_is_of_the_newest_tree() -> None:
    log = log_of(OPEN, BLOCK, CLOSED)
    claim = claim_of(log)
    log.append([BLOCK.line()])
    with pytest.raises(ClaimError, match="newest tree, which has 4 leaves"):
        judge(claim, log.checkpoint())


@pytest.mark.parametrize("leaves", [(OPEN, BLOCK), (OPEN, CLOSED)])
def test_without_a_closing_leaf_or_a_block_nothing_can_be_claimed(
    leaves: tuple[Campaign | Block, ...],
) -> None:
    with pytest.raises(ClaimError, match="has no such leaf"):
        claim_of(log_of(*leaves))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"block":1,"closing":2,"origin":"x","size":3}', b"\xff" * 9]
)
def test_what_is_no_claim_is_refused(body: bytes) -> None:
    with pytest.raises(ClaimError):
        Claim.parse(body)


def test_a_checkpoint_is_no_acknowledgement_and_no_quorum_is_met_by_one() -> None:
    log = log_of(OPEN, BLOCK, CLOSED)
    with pytest.raises(NoteError):
        Acknowledged.parse(log.checkpoint().text)
    key = log.witnesses[0].key
    policy = Policy.parse(f"log {log.signer.key}\nwitness top {key}\nquorum top\n".encode())
    told = judge(claim_of(log), log.checkpoint())
    note = confirm(told, log.witnesses[0], SECONDS).signed(log.signer.sign(told.text))
    assert not policy.is_met(note)


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_leaves_are_read_from_their_end_as_they_are(size: int, tmp_path: Path) -> None:
    log = WrittenLog()
    log.append(make_leaves(size))
    log.write(tmp_path / LOG, log.note())
    leaves = LogFiles(tmp_path).leaves(size)
    assert [leaves[at] for at in range(size - 1, -1, -1)] == log.leaves[::-1]
    assert list(leaves[: size // 2]) == log.leaves[: size // 2]
    with pytest.raises(IndexError):
        leaves[size]
