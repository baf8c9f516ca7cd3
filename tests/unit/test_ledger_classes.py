"""Classes: what takes an answer out of production, and that nothing a caller says brings it in."""

import json
from hashlib import sha256
from pathlib import Path

import pytest

from node.ledger import classes
from node.ledger.classes import (
    Campaign,
    Identity,
    Policy,
    Robots,
    client_address,
    networks,
    policy_at,
)
from node.ledger.headers import Headers, of_block, of_pairs
from node.ledger.record import Class
from node.ledger.tags import MINUTE_NS

ROBOTS_FILE = Path(classes.__file__).with_name("robots.json")
ROBOTS = Robots.parse(ROBOTS_FILE.read_bytes())
OUTSIDE = Identity("198.51.100.7", b"gateway/2.1")
MINUTE = 1_000_000 * MINUTE_NS
MINUTE_US = MINUTE // 1_000


def campaign(**given: object) -> Campaign:
    terms = {"no": 5, "from_us": MINUTE_US, "until_us": MINUTE_US + 60_000_000} | given
    return Campaign(**terms)  # type: ignore[arg-type]


def policy(**given: object) -> Policy:
    return Policy(**({"no": 1, "robots": ROBOTS} | given))  # type: ignore[arg-type]


def test_stranger_is_production() -> None:
    assert policy().classify(OUTSIDE, MINUTE) == (Class.PRODUCTION, 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", ""])
def test_this_machine_is_self_unless_the_policy_counts_it(address: str) -> None:
    here = Identity(address)

    assert policy().classify(here, MINUTE) == (Class.SELF, 0)
    assert policy(count_loopback=True).classify(here, MINUTE) == (Class.PRODUCTION, 0)


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::9"])
def test_own_networks_are_self_even_when_loopback_is_counted(address: str) -> None:
    ours = policy(own_networks=networks(["10.0.0.0/8", "2001:db8::/32"]), count_loopback=True)

    assert ours.classify(Identity(address), MINUTE) == (Class.SELF, 0)


@pytest.mark.parametrize(
    "agent",
    [
        b"Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        b"Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        b"SCRAPY/2.11",
    ],
)
def test_listed_user_agent_is_a_robot(agent: bytes) -> None:
    assert policy().classify(OUTSIDE._replace(agent=agent), MINUTE) == (Class.ROBOT, 0)


@pytest.mark.parametrize(
    "agent",
    [
        b"",
        b"ABB-RobotController/6.1",
        b"WMS-Scanner/1.0",
        b"DeviceMonitor/3",
        b"Java/17",
        b"curl/8.4",
    ],
)
def test_machines_of_an_enterprise_are_no_robots(agent: bytes) -> None:
    assert policy().classify(OUTSIDE._replace(agent=agent), MINUTE)[0] is Class.PRODUCTION


def test_campaign_takes_its_listener_token_or_networks() -> None:
    by_listener = campaign(listener="127.0.0.1:9001")
    by_token = campaign(token_sha256=sha256(b"secret").hexdigest())
    by_network = campaign(networks=networks(["198.51.100.0/24"]))

    assert by_listener.takes(OUTSIDE._replace(listener="127.0.0.1:9001"))
    assert by_token.takes(OUTSIDE._replace(token=b"secret"))
    assert by_network.takes(OUTSIDE)
    assert not by_listener.takes(OUTSIDE._replace(listener="127.0.0.1:8000"))
    assert not by_token.takes(OUTSIDE._replace(token=b"other"))
    assert not by_network.takes(OUTSIDE._replace(address="198.51.101.7"))
    assert not campaign().takes(OUTSIDE)


def test_campaign_comes_before_everything_else() -> None:
    rules = policy(campaigns=(campaign(listener="127.0.0.1:9001"),), count_loopback=True)
    here = Identity("127.0.0.1", b"scrapy", "127.0.0.1:9001")

    assert rules.classify(here, MINUTE) == (Class.TEST, 5)
    assert rules.classify(here, MINUTE + MINUTE_NS) == (Class.ROBOT, 0)


def test_campaign_covers_every_minute_that_it_touches() -> None:
    inside = campaign(from_us=MINUTE_US + 59_999_999, until_us=MINUTE_US + 60_000_001)

    covered = [inside.covers(MINUTE + n * MINUTE_NS) for n in (-1, 0, 1, 2)]

    assert covered == [False, True, True, False]


@pytest.mark.parametrize("no", [0, 65_536])
def test_campaign_number_fits_the_record(no: int) -> None:
    with pytest.raises(ValueError, match="numbered"):
        campaign(no=no)


def test_policy_in_force_is_the_newest_that_has_begun() -> None:
    old, new = policy(no=1), policy(no=2, from_us=MINUTE_US)

    assert policy_at([new, old], MINUTE - MINUTE_NS).no == 1
    assert policy_at([new, old], MINUTE).no == 2
    assert policy_at([new], MINUTE - MINUTE_NS).no == 2


def test_list_of_robots_has_a_version_and_the_digest_of_its_file() -> None:
    assert ROBOTS.version >= 1
    assert ROBOTS.digest == sha256(ROBOTS_FILE.read_bytes()).hexdigest()
    assert all(word == word.lower() for word in json.loads(ROBOTS_FILE.read_bytes())["words"])


@pytest.mark.parametrize(
    "text", [b"[]", b'{"version":1}', b'{"words":["x"]}', b'{"version":1,"words":[""]}', b"x"]
)
def test_list_of_robots_that_is_none_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  JSON's own, or ours
        Robots.parse(text)


PROXIES = networks(["10.0.0.0/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),  # the left one is only claimed
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense", "10.0.0.1"),
        ("203.0.113.9", "198.51.100.7", "203.0.113.9"),  # whoever sends it is no proxy of ours
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
    ],
)
def test_forwarded_address_is_believed_from_trusted_proxies_alone(
    peer: str, forwarded: str, found: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == found


def test_without_trusted_proxies_nothing_is_believed() -> None:
    assert client_address("127.0.0.1", "198.51.100.7", ()) == "127.0.0.1"


def test_headers_are_read_from_a_block_as_from_pairs() -> None:
    block = (
        b"Host: node\r\nUser-Agent:  gateway/2.1 \r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n"
        b"X-Request-Id: r-1\r\nIdempotency-Key: k-1\r\nIdnode-Campaign: secret\r\n\r\n"
    )
    pairs = [
        (b"user-agent", b"gateway/2.1"),
        (b"x-forwarded-for", b"1.1.1.1,2.2.2.2"),
        (b"idempotency-key", b"k-1"),
        (b"idnode-campaign", b"secret"),
    ]

    assert (
        of_block(block)
        == of_pairs(pairs)
        == Headers(b"gateway/2.1", "1.1.1.1,2.2.2.2", b"k-1", b"secret")
    )
    assert of_block(b"X-Request-Id: r-1\r\n\r\n").request_id == b"r-1"
    assert of_block(b"\r\n") == Headers()
