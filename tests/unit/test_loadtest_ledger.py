"""What the campaigns of the ledger find when a ledger is wrong, and the paced generator."""

from collections.abc import Iterator

import pytest

from loadtest.accounts import Asked, Canary, Counted, Journal, compare, recognise
from loadtest.baselines.echo import BODY
from loadtest.exchange import (
    Exchange,
    echo_exchange,
    http_exchange,
    http_request,
    native_request,
)
from loadtest.generator_paced import prepare_paced
from loadtest.three_counts import Counts, differences
from node.ledger.record import Class, Proto, Record
from node.ledger.tags import DAY_NS, DayKeys, packed_address
from resolver.observe import Protocol
from tests.support.echo import running_echo

HOST = "127.0.0.1"
KEYS = DayKeys(lambda month: month.encode().ljust(32))
DAY = 20_000
TIME_US = DAY * DAY_NS // 1_000
QUESTION = Asked(Proto.UDP, b"\1\2\3\4", b"88.1/X", "127.0.5.1")


def record(asked: Asked) -> Record:
    """The record that a ledger has of a question."""
    tags = KEYS.of(DAY)
    return Record(
        seq=1,
        t_us=TIME_US,
        mono_ms=1,
        class_=Class.PRODUCTION,
        proto=asked.proto,
        result=1,
        id_tag=int.from_bytes(tags.id_tag(asked.key), "little"),
        client_tag=int.from_bytes(tags.client_tag(packed_address(asked.source), b""), "little"),
        net_tag=0,
        prefix_no=1,
        policy=1,
        campaign=0,
        flags=17,
        ua=0xFFFF,
        nonce=int.from_bytes(asked.nonce, "little"),
    )


def journal(*, answered: bool = True) -> Journal:
    kept = Journal()
    kept.sent[QUESTION] = 1
    if answered:
        kept.answered[QUESTION] = 1
        kept.canaries.append(Canary(TIME_US / 1e6, QUESTION))
    return kept


def counted(kept: Journal, *records: Record) -> Counted:
    return recognise(records, kept, KEYS, ("127.0.0.1",))


def test_answer_that_is_counted_once_is_no_fault() -> None:
    kept = journal()

    assert compare(kept, counted(kept, record(QUESTION))) == []


def test_answer_without_a_record_is_lost() -> None:
    kept = journal()

    faults = compare(kept, counted(kept))

    assert "1 answered, and not in the ledger" in faults[0]
    assert "canary 88.1/X is 0 times in the ledger" in faults[1]


def test_question_without_an_answer_may_be_counted_or_not() -> None:
    kept = journal(answered=False)

    assert compare(kept, counted(kept)) == []
    assert compare(kept, counted(kept, record(QUESTION))) == []


def test_record_that_is_there_twice_is_too_many() -> None:
    kept = journal()

    faults = compare(kept, counted(kept, record(QUESTION), record(QUESTION)))

    assert "1 in the ledger more often than it was sent" in faults[0]
    assert faults[-1] == "UDP: 2 counted, 1 sent"


@pytest.mark.parametrize(
    "change", [{"key": b"88.1/Y"}, {"source": "127.0.6.1"}, {"nonce": b"\1\2\3\5"}]
)
def test_record_of_a_question_that_nobody_asked_is_a_fault(change: dict[str, str]) -> None:
    kept = journal()
    strange = QUESTION._replace(**change)  # type: ignore[arg-type]  # each has its field's type

    assert compare(kept, counted(kept, record(QUESTION), record(strange))) != []


def test_record_of_who_keeps_no_journal_is_left_out() -> None:
    kept = journal()
    other = record(QUESTION._replace(source="127.0.0.1"))

    found = counted(kept, record(QUESTION), other)

    assert (found.others, compare(kept, found)) == (1, [])


def test_counts_that_differ_by_one_are_told() -> None:
    here = Counts({Protocol.UDP: 5, Protocol.TCP: 7})

    assert differences("now", here, here) == []
    assert len(differences("now", here, here + Counts({Protocol.TCP: 1}))) == 1


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The three ports of a running echo baseline."""
    with running_echo(HOST) as found:
        yield found


def exchanges(transport: str) -> list[Exchange]:
    names = [b"88.118/item-%05d" % number for number in range(64)]
    if transport == "http":
        return [http_exchange(http_request(name, HOST), BODY) for name in names]
    return [echo_exchange(native_request(name)) for name in names]


@pytest.mark.parametrize(("transport", "depth"), [("udp", 1), ("tcp", 1), ("tcp", 8), ("http", 1)])
def test_paced_generator_times_every_question(
    ports: dict[str, int], transport: str, depth: int
) -> None:
    address, asked = (HOST, ports[transport]), exchanges(transport)

    run = prepare_paced(address, asked, transport=transport, once=True, depth=depth)()

    assert (run.answers, run.wrong, len(run.latencies)) == (64, 0, 64 // depth)


@pytest.mark.parametrize("transport", ["udp", "tcp", "http"])
def test_paced_generator_counts_another_tail_as_wrong(
    ports: dict[str, int], transport: str
) -> None:
    asked = [one._replace(tail=one.tail[:-1] + b"\x01") for one in exchanges(transport)]

    run = prepare_paced((HOST, ports[transport]), asked, transport=transport, once=True)()

    assert (run.answers, run.wrong) == (0, 64)


def test_paced_generator_keeps_its_pace(ports: dict[str, int]) -> None:
    address = (HOST, ports["tcp"])

    run = prepare_paced(address, exchanges("tcp"), transport="tcp", seconds=0.2, rate=100)()

    assert run.answers <= 21
