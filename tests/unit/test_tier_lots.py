"""The lots of a cluster: where their names lie."""

from collections import Counter

import pytest
from redis.crc import key_slot

from resolver.tiers.cluster import LOTS, SLOTS, TAGS, lot_of


def test_names_of_a_lot_lie_in_one_slot_whatever_the_key() -> None:
    for tag, slot in TAGS:
        for key in (b"state", b"88.1/X", b"88.1/{other}", b"}{"):
            assert key_slot(f"idnode:2:{tag}epoch:".encode() + key) == slot


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 6, 12])
def test_nodes_that_share_the_slots_evenly_share_the_lots_evenly(nodes: int) -> None:
    assert set(Counter(slot * nodes // SLOTS for _, slot in TAGS).values()) == {LOTS // nodes}


def test_keys_are_shared_out_evenly() -> None:
    found = Counter(lot_of(b"88.118.1/PART-%06d" % number) for number in range(12_000))

    assert set(found) == set(range(LOTS))
    assert max(found.values()) < 1.2 * min(found.values())
