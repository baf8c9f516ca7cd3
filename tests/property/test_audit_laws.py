"""The fast way to read a line is the slow way; a tower has the root of its leaves; arrays are records."""

from hypothesis import given
from hypothesis import strategies as st

from node.ledger.leaf import CLASSES, Block, LeafError, Meters, parse
from node.ledger.record import Record, decode_all, encode, seed_of
from node.ledger.tlog import leaf_hash, root_from
from node.ledger.verify.bodies import Records
from node.ledger.verify.lines import read_leaf
from node.ledger.verify.merkle import Tower

NUMBERS = st.integers(0, 2**53 - 1)
HASHES = st.binary(min_size=32, max_size=32)
DIGESTS = HASHES.map(bytes.hex)
SUMS = st.tuples(*[NUMBERS] * CLASSES)
BLOCKS = st.builds(
    Block,
    lane=st.integers(0, 2**16 - 1),
    epoch=st.integers(0, 2**32 - 1),
    block=NUMBERS,
    sequence=st.tuples(NUMBERS, NUMBERS),
    span=st.tuples(NUMBERS, NUMBERS),
    records=SUMS,
    successes=SUMS,
    record_root=HASHES,
    sha256=DIGESTS,
    sm3=DIGESTS,
    previous=HASHES,
    beacon=st.tuples(NUMBERS, HASHES),
    total=SUMS,
    policy=st.integers(0, 2**16 - 1),
)
METERS = st.builds(
    Meters,
    time=NUMBERS,
    workers=st.lists(st.tuples(*[NUMBERS] * 6), max_size=5).map(tuple),
)
LEAVES = BLOCKS | METERS
U16, U32, U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
RECORDS = st.builds(
    Record,
    seq=U64,
    t_us=st.integers(0, 2**53),
    mono_ms=U32,
    class_=st.integers(0, 255),
    proto=st.integers(0, 255),
    result=U16,
    id_tag=U64,
    client_tag=U64,
    net_tag=U32,
    prefix_no=U32,
    policy=U16,
    campaign=U16,
    flags=U16,
    ua=U16,
    nonce=U32,
)


@given(LEAVES)
def test_line_is_read_alike(leaf: Block | Meters) -> None:
    assert read_leaf(leaf.line()) == parse(leaf.line()) == leaf


@given(LEAVES, st.data())
def test_line_that_was_changed_is_read_alike(leaf: Block | Meters, data: st.DataObject) -> None:
    line = bytearray(leaf.line())
    line[data.draw(st.integers(0, len(line) - 1))] = data.draw(st.integers(0, 255))
    try:
        expected = parse(bytes(line))
    except LeafError:
        expected = None
    try:
        found = read_leaf(bytes(line))
    except LeafError:
        found = None
    assert found == expected


@given(st.integers(0, 300))
def test_tower_has_the_root_of_its_leaves(count: int) -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(count)]
    tower = Tower()
    for hashed in hashes:
        list(tower.append(hashed))
    assert tower.root() == root_from(hashes)


@given(st.lists(RECORDS, min_size=1, max_size=8))
def test_columns_are_those_of_the_records(records: list[Record]) -> None:
    body = b"".join(encode(record, seed_of(1, 2)) for record in records)
    columns = Records(body)
    decoded = list(decode_all(body))
    assert list(columns.times) == [record.t_us for record in decoded]
    assert list(columns.identifiers) == [record.id_tag for record in decoded]
    assert list(columns.clients) == [record.client_tag for record in decoded]
    assert list(columns.networks) == [record.net_tag for record in decoded]
    assert list(columns.prefixes) == [record.prefix_no for record in decoded]
    assert list(columns.nonces) == [record.nonce for record in decoded]
    assert columns.classes == [record.class_ for record in decoded]
    assert columns.policies == [record.policy for record in decoded]
    assert columns.campaigns == [record.campaign for record in decoded]
    assert columns.agents == [record.ua for record in decoded]
    assert columns.flags == [record.flags for record in decoded]
    assert sum(columns.kinds.values()) == len(records)
