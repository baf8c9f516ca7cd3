"""Laws of the log: each size proves each earlier one and each leaf, and any change of a proof disproves it."""

from functools import cache
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.ledger.tiles import (
    TILE_WIDTH,
    Frontier,
    Tile,
    decode_entries,
    encode_entries,
    hashes_in_tiles,
    parse_tile_path,
    split_hashes,
    tile_at,
    tiles_for,
)
from node.ledger.tlog import (
    HASH_BYTES,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_from,
    verify_consistency,
    verify_inclusion,
)
from tests.support.logs import WrittenLog, make_leaves

LARGEST = 700  # three tiles, the last one partial
MANY = 2 * TILE_WIDTH**2 + 3  # three levels of tiles

sizes = st.integers(1, LARGEST)
hashes = st.binary(min_size=HASH_BYTES, max_size=HASH_BYTES)


@cache
def every_size() -> tuple[WrittenLog, list[bytes]]:
    """Return a log that signed each size up to LARGEST, and its roots by size."""
    log = WrittenLog()
    roots = [log.checkpoint().root]
    for leaf in make_leaves(LARGEST):
        log.append([leaf])
        roots.append(log.checkpoint().root)
    return log, roots


@cache
def many_leaves() -> tuple[Frontier, dict[Tile, bytes], list[bytes]]:
    """Return a larger tree, its tiles and its leaf hashes."""
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(MANY)]
    frontier = Frontier()
    return frontier, dict(frontier.extend(leaves)), leaves


def test_root_of_every_size_is_that_of_its_leaves() -> None:
    log, roots = every_size()
    leaves = list(map(leaf_hash, log.leaves))
    assert roots == [root_from(leaves[:size]) for size in range(LARGEST + 1)]


def test_every_size_has_its_partial_tiles_and_they_give_its_root() -> None:
    log, roots = every_size()
    for size in range(1, LARGEST + 1):
        frontier = Frontier.load(size, log.files.__getitem__)
        assert (frontier.size, frontier.root()) == (size, roots[size])
        assert set(tiles_for(0, size)) <= log.files.keys()


@settings(deadline=None)  # the first one makes the log
@given(st.data(), sizes)
def test_every_size_proves_every_earlier_one(data: st.DataObject, new: int) -> None:
    old = data.draw(st.integers(1, new))
    log, roots = every_size()
    proof = consistency_proof(old, new, log.read(new))
    verify_consistency(old, roots[old], new, roots[new], proof)
    if old < new:
        with pytest.raises(ProofError):
            verify_consistency(old, roots[old], new, roots[new - 1], proof)


@settings(deadline=None)  # the first one makes the log
@given(st.data(), sizes)
def test_every_size_proves_each_of_its_leaves(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    log, roots = every_size()
    proof = inclusion_proof(index, size, log.read(size))
    verify_inclusion(index, size, leaf_hash(log.leaves[index]), proof, roots[size])


@settings(deadline=None)  # the first one makes the log
@given(st.data(), st.integers(2, LARGEST))
def test_flipped_bit_of_a_proof_disproves_it(data: st.DataObject, size: int) -> None:
    log, roots = every_size()
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size - 1))
    leaf = leaf_hash(log.leaves[index])
    path = flip(data, inclusion_proof(index, size, log.read(size)))
    with pytest.raises(ProofError):
        verify_inclusion(index, size, leaf, path, roots[size])
    proof = flip(data, consistency_proof(old, size, log.read(size)))
    with pytest.raises(ProofError):
        verify_consistency(old, roots[old], size, roots[size], proof)


@settings(deadline=None)  # the first one makes the log
@given(sizes, sizes, hashes, hashes, st.lists(hashes, max_size=12))
def test_proof_made_up_proves_nothing(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: list[bytes]
) -> None:
    _, roots = every_size()
    with pytest.raises(ProofError):
        verify_consistency(old, old_root, new, roots[new], proof)
    with pytest.raises(ProofError):
        verify_inclusion(old - 1, new, new_root, proof, roots[new])


@settings(deadline=None)  # the first one makes the log
@given(st.lists(st.integers(0, 300), max_size=8))
def test_tree_grown_in_any_pieces_writes_the_tiles_it_must(pieces: list[int]) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(sum(pieces))]
    frontier, files = Frontier(), dict[Tile, bytes]()
    for before, after in zip([0, *accumulate(pieces)], accumulate(pieces), strict=False):
        written = dict(frontier.extend(leaves[before:after]))
        assert written.keys() == set(tiles_for(before, after))
        assert all(len(data) == tile.width * HASH_BYTES for tile, data in written.items())
        files |= written
        resumed = Frontier.load(after, files.__getitem__)
        assert resumed.root() == frontier.root() == root_from(leaves[:after])
    assert all(
        split_hashes(files[tile]) == leaves[tile.number * 256 : tile.number * 256 + tile.width]
        for tile in files
        if tile.level == 0
    )


def test_tiles_of_three_levels_give_the_root_again() -> None:
    frontier, files, leaves = many_leaves()
    assert set(files) == set(tiles_for(0, MANY))
    assert Frontier.load(MANY, files.__getitem__).root() == frontier.root() == root_from(leaves)
    assert files[Tile(2, 0, 2)] == root_from(leaves[: 256**2]) + root_from(leaves[256**2 : 2 * 256**2])  # fmt: skip


@settings(deadline=None)  # the first one makes the log
@given(st.integers(0, MANY - 1), st.integers(1, MANY))
def test_proofs_come_out_of_tiles_of_three_levels(index: int, old: int) -> None:
    frontier, files, leaves = many_leaves()
    read = hashes_in_tiles(MANY, files.__getitem__)
    root = frontier.root()
    verify_inclusion(index, MANY, leaves[index], inclusion_proof(index, MANY, read), root)
    proof = consistency_proof(old, MANY, read)
    verify_consistency(old, Frontier.load(old, cut).root(), MANY, root, proof)


def cut(tile: Tile) -> bytes:
    """Return a tile as it was when the larger tree was smaller: what a log that keeps only full tiles would answer."""
    _, files, _ = many_leaves()
    return files[tile_at(tile.level, tile.number, MANY)][: tile.width * HASH_BYTES]


@given(st.integers(1, 2**63 - 1), st.integers(0, 7))
def test_width_of_a_partial_tile_is_that_of_the_specification(size: int, level: int) -> None:
    width = size // 256**level % 256
    if width:
        assert tile_at(level, size // 256 ** (level + 1), size).width == width


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_entries_come_back_from_their_bundle(entries: list[bytes]) -> None:
    assert decode_entries(encode_entries(entries)) == entries


@given(st.binary(max_size=600))
def test_any_bytes_are_a_bundle_or_refused(data: bytes) -> None:
    try:
        entries = decode_entries(data)
    except ValueError:
        return
    assert encode_entries(entries) == data


@given(st.integers(-1, 63), st.integers(0, 2**63 - 1), st.integers(1, 256))
def test_path_of_a_tile_is_read_back(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)
    assert parse_tile_path(tile.path) == tile


@given(st.text(max_size=40) | st.from_regex(r"tile/[0-9e]{1,3}/[x0-9/]{3,20}(\.p/[0-9]{1,3})?"))
def test_path_names_a_tile_in_one_spelling_only(path: str) -> None:
    tile = parse_tile_path(path)
    assert tile is None or tile.path == path


def flip(data: st.DataObject, proof: list[bytes]) -> list[bytes]:
    """Return the proof with one bit changed."""
    bit = data.draw(st.integers(0, len(proof) * HASH_BYTES * 8 - 1))
    joined = bytearray(b"".join(proof))
    joined[bit // 8] ^= 1 << bit % 8
    return split_hashes(bytes(joined))
