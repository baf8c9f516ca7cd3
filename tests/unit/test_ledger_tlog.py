"""The log's tree and its tiles: which proofs are refused, which tiles there are and what they are called."""

import pytest

from node.ledger.tiles import (
    ENTRIES,
    MAX_ENTRY_BYTES,
    Frontier,
    Tile,
    decode_entries,
    encode_entries,
    entries_for,
    entries_path,
    hashes_in_tiles,
    parse_tile_path,
    split_hashes,
    tile_at,
    tile_path,
    tiles_for,
)
from node.ledger.tlog import (
    EMPTY_ROOT,
    MAX_SIZE,
    ProofError,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_from,
    verify_consistency,
    verify_inclusion,
)
from tests.support.logs import WrittenLog, make_leaves, written_log

A, B, C = (leaf_hash(letter) for letter in (b"a", b"b", b"c"))


def test_leaf_and_node_never_hash_alike() -> None:
    assert leaf_hash(A + B) != node_hash(A, B)
    assert root_from([A, B, C]) == node_hash(node_hash(A, B), C)


def test_inclusion_of_another_leaf_place_or_root_is_refused() -> None:
    log = written_log(11)
    proof = inclusion_proof(4, 11, log.read(11))
    root, leaf = log.checkpoint().root, leaf_hash(log.leaves[4])
    verify_inclusion(4, 11, leaf, proof, root)
    for wrong in [
        (5, 11, leaf, proof, root),
        (4, 10, leaf, proof[1:], root),
        (4, 11, A, proof, root),
        (4, 11, leaf, proof[:-1], root),
        (4, 11, leaf, [*proof, A], root),
        (4, 11, leaf, [proof[0][:31], *proof[1:]], root),
        (4, 11, leaf, proof, A),
        (11, 11, leaf, proof, root),
        (-1, 11, leaf, proof, root),
        (4, MAX_SIZE + 1, leaf, proof, root),
    ]:
        with pytest.raises(ProofError):
            verify_inclusion(*wrong)


def test_consistency_of_other_roots_or_sizes_is_refused() -> None:
    log = written_log(6)
    old = log.checkpoint().root
    log.append(make_leaves(5))
    new, proof = log.checkpoint().root, consistency_proof(6, 11, log.read(11))
    verify_consistency(6, old, 11, new, proof)
    for wrong in [
        (6, A, 11, new, proof),
        (6, old, 11, A, proof),
        (5, old, 11, new, proof),
        (6, old, 11, new, []),
        (6, old, 11, new, proof[:-1]),
        (6, old, 11, new, [*proof, A]),
        (6, old, 11, new, [proof[0] + b"\x00", *proof[1:]]),
        (11, new, 6, old, proof),
        (11, new, 11, old, []),
        (11, new, 11, new, [A]),
        (6, old[:31], 6, old[:31], []),
    ]:
        with pytest.raises(ProofError):
            verify_consistency(*wrong)


def test_right_hashes_under_wrong_sizes_are_refused() -> None:
    two, four = node_hash(A, B), node_hash(node_hash(A, B), node_hash(C, A))
    verify_inclusion(0, 2, A, [B], two)
    verify_consistency(1, A, 4, four, [B, node_hash(C, A)])
    for index, size, leaf, proof, root in [
        (1, 1, A, [], A),  # no such leaf
        (0, 2, two, [], two),  # an inner node is no leaf
        (0, 1, A, [B], two),  # a smaller tree
        (0, 1, A[:31], [], A[:31]),
    ]:
        with pytest.raises(ProofError):
            verify_inclusion(index, size, leaf, proof, root)
    for old, old_root, new, new_root, proof in [
        (1, A, 4, two, [B]),  # a smaller tree
        (1, A, 2, four, [B, node_hash(C, A)]),  # a larger one
        (2, two, 3, two, []),
    ]:
        with pytest.raises(ProofError):
            verify_consistency(old, old_root, new, new_root, proof)


def test_nothing_is_proved_from_an_empty_tree() -> None:
    assert consistency_proof(0, 3, written_log(3).read(3)) == []
    with pytest.raises(ProofError, match="nothing proves"):
        verify_consistency(0, EMPTY_ROOT, 3, written_log(3).checkpoint().root, [])


@pytest.mark.parametrize("sizes", [(4, 3), (-1, 3), (0, MAX_SIZE + 1)])
def test_sizes_that_run_backwards_have_no_proof_and_no_tiles(sizes: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no tree"):
        consistency_proof(*sizes, lambda *_: A)
    with pytest.raises(ValueError, match="grow"):
        tiles_for(*sizes)


def test_no_leaf_beyond_the_tree_has_a_proof() -> None:
    with pytest.raises(ValueError, match="has no leaf 3"):
        inclusion_proof(3, 3, lambda *_: A)


def test_tiles_of_seventy_thousand_leaves_are_those_of_the_specification() -> None:
    tiles = tiles_for(0, 70_000)
    assert [tile for tile in tiles if tile.level == 0 and tile.width == 256] == [
        Tile(0, number) for number in range(273)
    ]
    assert tiles[273:] == [Tile(0, 273, 112), Tile(1, 0), Tile(1, 1, 17), Tile(2, 0, 1)]


def test_tree_of_256_leaves_has_a_second_level_of_width_one() -> None:
    assert tiles_for(0, 256) == [Tile(0, 0), Tile(1, 0, 1)]
    assert tiles_for(256, 256) == []
    assert tiles_for(256, 257) == [Tile(0, 1, 1)]
    assert entries_for(255, 257) == [Tile(ENTRIES, 0), Tile(ENTRIES, 1, 1)]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1_234_067), "tile/0/x001/x234/067"),
        (Tile(1, 17, 112), "tile/1/017.p/112"),
        (Tile(63, 999, 1), "tile/63/999.p/1"),
        (Tile(2, 1_000), "tile/2/x001/000"),
        (Tile(ENTRIES, 273, 112), "tile/entries/273.p/112"),
        (Tile(ENTRIES, MAX_SIZE), "tile/entries/x009/x223/x372/x036/x854/x775/807"),
    ],
)
def test_path_names_its_tile(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/0", "tile/00/000", "tile/64/000", "tile/0/x000/000", "tile/0/001/000", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000/", "/tile/0/000", "tile/-1/000", "tile/0/000\n",
        "tile/0/../000", "tile/0/x009/x223/x372/x036/x854/x775/808", "tile/0/٠٠٠", "tile/Entries/000",
    ],
)  # fmt: skip
def test_path_in_any_other_spelling_names_nothing(path: str) -> None:
    assert parse_tile_path(path) is None


@pytest.mark.parametrize(
    "tile", [Tile(64, 0), Tile(0, -1), Tile(0, 0, 0), Tile(0, 0, 257), Tile(ENTRIES, 0, 0)]
)
def test_tile_that_cannot_be_has_no_path(tile: Tile) -> None:
    with pytest.raises(ValueError, match="tile"):
        assert tile.path


def test_paths_of_functions_are_those_of_tiles() -> None:
    assert tile_path(1, 5, 7) == Tile(1, 5, 7).path
    assert entries_path(5) == Tile(ENTRIES, 5).path


def test_entry_is_as_long_as_two_bytes_can_say_and_no_longer() -> None:
    longest = bytes(MAX_ENTRY_BYTES)
    assert decode_entries(encode_entries([b"", longest, b"a"])) == [b"", longest, b"a"]
    assert encode_entries([b"ab", b""]) == b"\x00\x02ab\x00\x00"
    with pytest.raises(ValueError, match="65536 bytes"):
        encode_entries([longest + b"\x00"])


@pytest.mark.parametrize("bundle", [b"\x00", b"\x00\x02a", b"\x00\x01a\x00", bytes(2 * 257)])
def test_bundle_cut_off_or_overfull_is_refused(bundle: bytes) -> None:
    with pytest.raises(ValueError, match="bundle"):
        decode_entries(bundle)


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytes(257 * 32)])
def test_bytes_that_no_tile_has_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        split_hashes(data)


def test_tile_of_another_width_than_the_size_says_is_refused() -> None:
    def read_tile(tile: Tile) -> bytes:
        return A * (tile.width + 1)

    with pytest.raises(ValueError, match="has 6 hashes, not 5"):
        hashes_in_tiles(5, read_tile)(0, 0)
    with pytest.raises(ValueError, match="has 6 hashes, not 5"):
        Frontier.load(5, read_tile)


@pytest.mark.parametrize(("level", "number"), [(0, 2), (1, 1), (2, 0), (0, -1)])
def test_tile_outside_the_tree_is_nowhere(level: int, number: int) -> None:
    with pytest.raises(ValueError, match=f"no tile {number} at level {level}"):
        tile_at(level, number, 300)


def test_frontier_takes_all_hashes_or_none() -> None:
    frontier = Frontier()
    with pytest.raises(ValueError, match="32 bytes"):
        frontier.extend([A, b"short"])
    assert (frontier.size, frontier.root()) == (0, EMPTY_ROOT)
    assert frontier.extend([]) == []


def test_log_that_grew_in_pieces_is_the_log_that_grew_at_once() -> None:
    grown, leaves = WrittenLog(), make_leaves(600)
    for size in (1, 255, 256, 257, 511, 512, 600):
        grown.append(leaves[grown.size : size])
    at_once = written_log(600)
    assert grown.checkpoint() == at_once.checkpoint()
    assert at_once.files.items() <= grown.files.items()
