"""The Merkle tree of a transparency log: its root, and the proofs that a leaf or an older tree is in it.

Laws.  The tree is that of RFC 6962 section 2.1 (RFC 9162 has the same) with SHA-256: a leaf is hashed behind 0x00, two
nodes behind 0x01, and the left subtree is the largest full one that leaves something for the right.
A hash has 32 bytes; one of another length proves nothing, wherever it stands.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from itertools import chain

HASH_BYTES = 32
MAX_SIZE = 2**63 - 1  # leaves
MAX_PROOF_HASHES = 63  # the longest path in such a tree; C2SP tlog-witness has the same

EMPTY_ROOT = sha256(b"").digest()

_LEAF, _NODE = b"\x00", b"\x01"

HashReader = Callable[[int, int], bytes]
"""read(level, index): the hash over leaves index·2^level up to (index+1)·2^level, which all exist."""


class ProofError(Exception):
    """A proof does not prove what it is shown for; the text says where it breaks."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(_LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over its two children."""
    return sha256(_NODE + left + right).digest()


def root_from(hashes: Iterable[bytes]) -> bytes:
    """Return the root over these leaf hashes."""
    row = list(hashes)
    if not row:
        return EMPTY_ROOT
    while len(row) > 1:
        row = _parents(row) + (row[-1:] if len(row) % 2 else [])
    return row[0]


def inclusion_proof(index: int, size: int, read: HashReader) -> list[bytes]:
    """Return the audit path of a leaf in the tree of this size, its sibling first (RFC 6962, 2.1.1).

    Raises ValueError when there is no such leaf.
    """
    _check_leaf(index, size, ValueError)
    return _path(index, 0, size, read)


def consistency_proof(old: int, new: int, read: HashReader) -> list[bytes]:
    """Return the proof that the tree of the old size begins the tree of the new one (RFC 6962, 2.1.2).

    It is empty for two equal sizes, and for the empty tree, which begins every tree.  Raises ValueError for sizes that
    run backwards.
    """
    if not 0 <= old <= new <= MAX_SIZE:
        raise ValueError(f"no tree of {old} leaves begins one of {new}")
    return [] if old in (0, new) else _subproof(old, 0, new, read, is_known=True)


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check an audit path (RFC 9162, 2.1.3.2).  Raises ProofError."""
    _check_leaf(index, size, ProofError)
    _check_hashes(chain((leaf, root), proof))
    here, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the inclusion proof is too long")
        if here & 1 or here == last:
            found = node_hash(sibling, found)
            zeros = _trailing_zeros(here)
            here, last = here >> zeros, last >> zeros
        else:
            found = node_hash(found, sibling)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise ProofError("the inclusion proof is too short")
    if found != root:
        raise ProofError(f"the inclusion proof of leaf {index} leads to another root")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the first tree begins the second (RFC 9162, 2.1.4.2).  Raises ProofError.

    An empty first tree is refused: it begins every tree, so there is nothing to prove, and who asks has lost a size.
    """
    if not 0 < old <= new <= MAX_SIZE:
        raise ProofError(f"nothing proves that {old} leaves begin a tree of {new}")
    _check_hashes(chain((old_root, new_root), proof))
    if old == new:
        _check_same(old_root, new_root, proof)
        return
    if not proof:
        raise ProofError("the consistency proof is empty")
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if _fold_consistency(old, new, path) != (old_root, new_root):
        raise ProofError(f"the tree of {new} leaves does not begin with the tree of {old}")


def _parents(row: list[bytes]) -> list[bytes]:
    return [
        sha256(_NODE + left + right).digest()
        for left, right in zip(row[::2], row[1::2], strict=False)
    ]


def _split(lo: int, hi: int) -> int:
    return lo + (1 << (hi - lo - 1).bit_length() - 1)


def _range_hash(lo: int, hi: int, read: HashReader) -> bytes:
    """The hash over leaves lo up to hi, a range that the tree's own splitting makes."""
    count = hi - lo
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return read(level, lo >> level)
    middle = _split(lo, hi)
    return node_hash(_range_hash(lo, middle, read), _range_hash(middle, hi, read))


def _path(index: int, lo: int, hi: int, read: HashReader) -> list[bytes]:
    if hi - lo == 1:
        return []
    middle = _split(lo, hi)
    if index < middle:
        return [*_path(index, lo, middle, read), _range_hash(middle, hi, read)]
    return [*_path(index, middle, hi, read), _range_hash(lo, middle, read)]


def _subproof(old: int, lo: int, hi: int, read: HashReader, *, is_known: bool) -> list[bytes]:
    """SUBPROOF of RFC 6962: `is_known` says that the verifier has the hash over lo up to old itself."""
    if old == hi:
        return [] if is_known else [_range_hash(lo, hi, read)]
    middle = _split(lo, hi)
    if old <= middle:
        below = _subproof(old, lo, middle, read, is_known=is_known)
        return [*below, _range_hash(middle, hi, read)]
    return [*_subproof(old, middle, hi, read, is_known=False), _range_hash(lo, middle, read)]


def _fold_consistency(old: int, new: int, path: list[bytes]) -> tuple[bytes, bytes]:
    """Return the two roots that a consistency path leads to (RFC 9162, 2.1.4.2, steps 3 to 7)."""
    here, last = old - 1, new - 1
    ones = _trailing_zeros(here + 1)
    here, last = here >> ones, last >> ones
    old_found = new_found = path[0]
    for hash_ in path[1:]:
        if last == 0:
            raise ProofError("the consistency proof is too long")
        if here & 1 or here == last:
            old_found, new_found = node_hash(hash_, old_found), node_hash(hash_, new_found)
            zeros = _trailing_zeros(here)
            here, last = here >> zeros, last >> zeros
        else:
            new_found = node_hash(new_found, hash_)
        here, last = here >> 1, last >> 1
    if last != 0:
        raise ProofError("the consistency proof is too short")
    return old_found, new_found


def _trailing_zeros(number: int) -> int:
    return (number & -number).bit_length() - 1


def _check_leaf(index: int, size: int, error: type[Exception]) -> None:
    if not 0 <= index < size <= MAX_SIZE:
        raise error(f"a tree of {size} leaves has no leaf {index}")


def _check_hashes(hashes: Iterable[bytes]) -> None:
    if any(len(hash_) != HASH_BYTES for hash_ in hashes):
        raise ProofError(f"a hash has {HASH_BYTES} bytes")


def _check_same(old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> None:
    if proof:
        raise ProofError("two trees of one size need no proof")
    if old_root != new_root:
        raise ProofError("two trees of one size have two roots")
