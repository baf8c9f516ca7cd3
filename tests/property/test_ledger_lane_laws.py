"""What is true of every record, every damage, and every caller."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from node.ledger.classes import Campaign, Identity, Policy, Robots, client_address, networks
from node.ledger.headers import of_block, of_pairs
from node.ledger.lanefile import encode_line, newest_line
from node.ledger.record import (
    RECORD_BYTES,
    Class,
    Record,
    decode,
    decode_all,
    encode,
    scan,
    seed_of,
)
from node.ledger.tags import MINUTE_NS, packed_address

LANE, EPOCH = 2, 7


def unsigned(bits: int) -> st.SearchStrategy[int]:
    return st.integers(0, 2**bits - 1)


BITS = (64, 64, 32, 8, 8, 16, 64, 64, 32, 32, 16, 16, 16, 16, 32)
RECORDS = st.tuples(*map(unsigned, BITS)).map(lambda fields: Record(*fields))
ADDRESSES = st.one_of(
    st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number))),
    st.integers(0, 2**128 - 1).map(lambda number: str(IPv6Address(number))),
)


@given(RECORDS, unsigned(16), unsigned(32))
def test_any_record_comes_back(record: Record, lane: int, epoch: int) -> None:
    data = encode(record, seed_of(lane, epoch))

    assert decode(data) == record
    assert scan(data, lane, epoch, after_seq=record.seq - 1).records == 1


@given(RECORDS, unsigned(16), unsigned(32), unsigned(32))
def test_no_record_is_taken_for_one_of_another_epoch_of_its_lane(
    record: Record, lane: int, epoch: int, other: int
) -> None:
    assume(epoch != other)

    assert scan(encode(record, seed_of(lane, epoch)), lane, other, record.seq - 1).records == 0


def cut(data: bytes, at: int, junk: bytes) -> bytes:
    return data[:at]


def overwrite(data: bytes, at: int, junk: bytes) -> bytes:
    return data[:at] + junk + data[at + len(junk) :]


def insert(data: bytes, at: int, junk: bytes) -> bytes:
    return data[:at] + junk + data[at:]


def leave_out(data: bytes, at: int, junk: bytes) -> bytes:
    return data[:at] + data[at + len(junk) :]


@given(
    st.lists(RECORDS, min_size=1, max_size=6),
    st.sampled_from([cut, overwrite, insert, leave_out]),
    st.integers(0, 6 * RECORD_BYTES),
    st.binary(min_size=1, max_size=2 * RECORD_BYTES),
)
@settings(max_examples=300)
def test_whatever_happens_to_a_lane_only_a_beginning_of_it_counts(
    drawn: list[Record], damage: Callable[[bytes, int, bytes], bytes], at: int, junk: bytes
) -> None:
    records = [record._replace(seq=seq) for seq, record in enumerate(drawn, 1)]
    data = b"".join(encode(record, seed_of(LANE, EPOCH)) for record in records)

    found = scan(damage(data, at, junk), LANE, EPOCH)

    assert list(decode_all(found.data)) == records[: found.records]
    assert found.records >= min(at // RECORD_BYTES, len(records))


@given(st.binary(max_size=4 * RECORD_BYTES))
def test_bytes_of_no_writer_are_no_records(data: bytes) -> None:
    assert scan(data, LANE, EPOCH).records == 0


@given(st.lists(unsigned(64), max_size=5), unsigned(31), st.integers(0, 63), unsigned(8))
def test_line_that_is_torn_leaves_the_one_before(
    numbers: list[int], turn: int, at: int, junk: int
) -> None:
    before, after = encode_line(turn + 1, (1, 2), 9), encode_line(turn + 2, tuple(numbers), 9)
    torn = after[:at] + bytes([junk]) + after[at + 1 :]
    whole = (*numbers, *[0] * (5 - len(numbers)))

    turn_found, found = newest_line(before.ljust(64, b"\0") + torn.ljust(64, b"\0"), 9)

    assert (turn_found, found) in ((turn + 1, (1, 2, 0, 0, 0)), (turn + 2, whole))


@given(ADDRESSES, st.binary(max_size=40), st.binary(max_size=20), st.text(max_size=20))
def test_no_caller_talks_itself_into_production(
    address: str, agent: bytes, token: bytes, listener: str
) -> None:
    """Whoever is not production when it says nothing is not when it says something."""
    policy = Policy(
        no=1,
        own_networks=networks(["10.0.0.0/8", "2001:db8::/32"]),
        robots=Robots(1, (b"spider",)),
        campaigns=(Campaign(no=1, from_us=0, until_us=10**12, networks=networks(["192.0.0.0/8"])),),
    )
    silent = policy.classify(Identity(address), MINUTE_NS)

    told = policy.classify(Identity(address, agent, listener, token), MINUTE_NS)

    assert silent[0] is Class.PRODUCTION or told == silent


@given(ADDRESSES, st.text(max_size=60))
def test_nobody_is_believed_about_its_address_who_is_no_trusted_proxy(
    peer: str, forwarded: str
) -> None:
    assume(not packed_address(peer).startswith(b"\x0a"))

    assert client_address(peer, forwarded, networks(["10.0.0.0/8"])) == peer


@given(st.lists(st.one_of(ADDRESSES, st.text(max_size=10)), max_size=5), ADDRESSES)
def test_what_stands_left_of_a_stranger_is_never_looked_at(
    claims: list[str], stranger: str
) -> None:
    assume(not packed_address(stranger).startswith(b"\x0a"))
    trusted = networks(["10.0.0.0/8"])

    with_claims = client_address("10.0.0.1", ",".join([*claims, stranger]), trusted)

    assert with_claims == client_address("10.0.0.1", stranger, trusted)
    assert packed_address(with_claims) == packed_address(stranger)


@given(st.binary(max_size=300))
def test_any_block_of_headers_is_read(block: bytes) -> None:
    pairs = [line.partition(b":") for line in block.split(b"\r\n")]

    assert of_block(block) == of_pairs(
        (name.lower(), value.strip(b" \t")) for name, _, value in pairs
    )
