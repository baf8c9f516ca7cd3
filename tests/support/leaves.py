"""Leaves that a small log of a test holds: a block, a closed day of the same successes, an open campaign."""

from node.ledger.leaf import Block, Campaign, Day
from node.ledger.tlog import EMPTY_ROOT

DAY = Day(
    day="2026-11-22",
    requests=50,
    raw=30,
    filtered=25,
    identifiers=3,
    clients=2,
    test=0,
    own=0,
    robot=10,
    suspect=0,
    detail="ab" * 32,
    index=(0, EMPTY_ROOT),
)
BLOCK = Block(
    lane=0,
    epoch=1,
    block=1,
    sequence=(1, 50),
    span=(1_000_000, 1_500_000),
    records=(40, 0, 0, 10, 0, 0),
    successes=(30, 0, 0, 10, 0, 0),
    record_root=bytes(32),
    sha256="ab" * 32,
    sm3="cd" * 32,
    previous=bytes(32),
    beacon=(0, bytes(32)),
    total=(30, 0, 0, 10, 0, 0),
    policy=1,
)
OPEN = Campaign(
    number=1,
    state="open",
    time=1_000_000,
    token="",
    listener="",
    networks=("127.0.7.0/24",),
    until=2_000_000,
    planned=30,
)
