"""The four counts of a proof: a difference of one, anywhere, is named; a campaign's records are told from others."""

from collections import Counter

import pytest

from loadtest.prove.reconciliation import FourCounts
from loadtest.prove.traffic import PROTOCOLS
from loadtest.turns import turns
from node.ledger.campaigns import Counted, add_body
from node.ledger.record import Class, Proto, Record, encode, seed_of

ASKED = {"udp": 333_334, "tcp": 333_333, "http_json": 333_333}
OTHERS = {"http_json": 3}
NAMES = {
    "client": "the client",
    "ledger": "the ledger",
    "metrics": "Prometheus",
    "toplevel": "the top-level node",
}


def counts(**changed: dict[str, int]) -> FourCounts:
    """Counts that are one, but for what is changed."""
    metrics = dict(Counter(ASKED) + Counter(OTHERS))
    columns = {"client": ASKED, "ledger": ASKED, "metrics": metrics, "toplevel": ASKED} | changed
    return FourCounts(others=OTHERS, **columns)


def test_equal_counts_differ_nowhere() -> None:
    assert list(counts().differences()) == []
    assert counts().columns["prometheus"]["sum"] == 1_000_000


@pytest.mark.parametrize("by", [1, -1])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("column", ["ledger", "metrics", "toplevel"])
def test_a_difference_of_one_is_named_with_its_place(column: str, protocol: str, by: int) -> None:
    before = counts().metrics if column == "metrics" else ASKED
    found = list(counts(**{column: {**before, protocol: before[protocol] + by}}).differences())
    place, total = ASKED[protocol] + by, 1_000_000 + by
    assert found == [
        f"over {protocol}: the client has {ASKED[protocol]:,}, {NAMES[column]} has {place:,} ({by:+})",
        f"in sum: the client has 1,000,000, {NAMES[column]} has {total:,} ({by:+})",
    ]


def test_one_too_many_here_and_one_too_few_there_are_two_differences() -> None:
    swapped = {**ASKED, "udp": ASKED["udp"] + 1, "tcp": ASKED["tcp"] - 1}
    found = list(counts(ledger=swapped).differences())
    assert [line.partition(":")[0] for line in found] == ["over udp", "over tcp"]


def test_a_count_that_is_missing_is_not_one_of_nothing() -> None:
    found = counts()
    found = FourCounts(found.client, found.ledger, found.metrics, None, found.others)
    assert list(found.differences()) == []
    assert "toplevel" not in found.columns


def test_a_client_that_lost_an_answer_differs_from_all() -> None:
    found = list(counts(client={**ASKED, "udp": ASKED["udp"] - 1}).differences())
    assert len(found) == 6
    assert all("(+1)" in line for line in found)


def test_answers_over_a_protocol_that_nobody_asked_are_named() -> None:
    found = list(counts(ledger={**ASKED, "batch": 1}).differences())
    assert found[0] == "over batch: the client has 0, the ledger has 1 (+1)"


def record(seq: int, proto: Proto, campaign: int) -> Record:
    return Record(
        seq=seq,
        t_us=seq,
        mono_ms=seq,
        class_=Class.TEST if campaign else Class.PRODUCTION,
        proto=proto,
        result=1,
        id_tag=1,
        client_tag=2,
        net_tag=3,
        prefix_no=4,
        policy=5,
        campaign=campaign,
        flags=1,
        ua=9,
        nonce=7,
    )


def test_records_are_counted_by_protocol_and_campaign() -> None:
    kinds = [(Proto.UDP, 9), (Proto.UDP, 9), (Proto.TCP, 9), (Proto.HTTP_JSON, 0), (Proto.UDP, 8)]
    seed = seed_of(0, 1)
    body = b"".join(encode(record(seq, *kind), seed) for seq, kind in enumerate(kinds, 1))
    counted = Counted.nothing()
    add_body(counted, 9, body)
    assert counted == (Counter(udp=2, tcp=1), Counter(http_json=1, udp=1))


@pytest.mark.parametrize("resolutions", [300, 1_000_000, 1_000_001])
def test_turns_come_to_what_was_wanted(resolutions: int) -> None:
    found = Counter[str]()
    for protocol, count in turns(resolutions, PROTOCOLS):
        found[protocol] += count
    assert found.total() == resolutions
    assert max(found.values()) - min(found.values()) <= 1
