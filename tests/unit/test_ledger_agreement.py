"""What files, database and witnesses may say of one log for it to be gone on with."""

import pytest

from node.ledger.agreement import EMPTY, Disagreement, Facts, agree
from node.ledger.announced import Announced
from node.ledger.classes import Robots
from node.ledger.leaf import Campaign, CountPolicy
from node.ledger.rules import RULES

NEW = Facts(None, False, None, 0, 0, 0)
HEAD, NEXT, OTHER = (5, b"5" * 32), (7, b"7" * 32), (5, b"x" * 32)
SOUND = Facts(HEAD, True, HEAD, 5, 5, 5)


@pytest.mark.parametrize(
    ("facts", "head"),
    [
        (NEW, EMPTY),
        (NEW._replace(head=EMPTY), EMPTY),
        (NEW._replace(head=EMPTY, stored=3, end=3), EMPTY),
        (NEW._replace(head=EMPTY, stored=3, end=3, has_tiles=True), EMPTY),
        (NEW._replace(head=HEAD, stored=5, end=5, has_tiles=True), HEAD),
        (SOUND, HEAD),
        (SOUND._replace(stored=9, end=9), HEAD),
        (SOUND._replace(head=NEXT, stored=9, end=9), NEXT),
        (SOUND._replace(witnessed=0), HEAD),
    ],
)
def test_what_a_crash_leaves_is_gone_on_with(facts: Facts, head: tuple[int, bytes]) -> None:
    assert agree(facts) == head


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (NEW._replace(published=HEAD, has_tiles=True), "rebuild-db"),
        (NEW._replace(has_tiles=True), "rebuild-db"),
        (NEW._replace(stored=3, end=3), "rebuild-db"),
        (NEW._replace(head=HEAD, stored=5, end=5), "its files are not here"),
        (SOUND._replace(stored=4), "leaves are missing"),
        (SOUND._replace(stored=4, end=4), "has 4 leaves of a log of 5"),
        (SOUND._replace(published=NEXT), "an old database"),
        (SOUND._replace(head=OTHER), "two roots"),
        (SOUND._replace(witnessed=6, stored=9, end=9), "a witness has seen 6"),
        (NEW._replace(witnessed=1), "a witness has seen 1"),
    ],
)
def test_what_no_crash_leaves_is_refused(facts: Facts, reason: str) -> None:
    with pytest.raises(Disagreement, match=reason):
        agree(facts)


def test_campaign_that_was_closed_ends_when_it_was_closed() -> None:
    policy = CountPolicy(
        number=1,
        since=0,
        text="",
        networks=("192.0.2.0/24",),
        count_loopback=True,
        robots={},
        rules=RULES,
        results={},
    )
    opened = Campaign(
        number=3,
        state="open",
        time=10,
        token="",
        listener="127.0.0.1:1",
        networks=(),
        until=100,
        planned=5,
    )
    closed = Campaign(
        number=3,
        state="close",
        time=50,
        token="",
        listener="127.0.0.1:1",
        networks=(),
        until=100,
        planned=5,
        observed=4,
    )
    for leaves, until in ((opened,), 100), ((opened, closed), 50):
        (found,) = Announced.of([policy, *leaves], Robots()).policies
        (campaign,) = found.campaigns
        assert (campaign.no, campaign.from_us, campaign.until_us) == (3, 10, until)
        assert found.count_loopback
        assert str(found.own_networks[0]) == "192.0.2.0/24"
