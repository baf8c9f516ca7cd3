"""Let the vectors of transparency-dev/merkle judge our proofs: 98 of inclusion, 98 of consistency, most of them wrong.

They are read from MERKLE_VECTORS or from ../shared/vectors/merkle beside the repository, and are no part of it.  That
they are missing, or fewer, is a failure.
"""

import json
import os
import sys
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

from node.ledger.tlog import ProofError, verify_consistency, verify_inclusion
from tests.support.nodes import ROOT

DIRECTORY = Path(os.environ.get("MERKLE_VECTORS", ROOT / "../shared/vectors/merkle"))
VECTORS = {"inclusion": 98, "consistency": 98}
STRICTER = {
    # Two equal roots of nine bytes: we insist that a hash has 32.
    "consistency/additional/sizes-are-equal-one-and-proof-is-empty.json",
}


def main() -> int:
    """Return 1 when a vector is missing or does not come out as it says."""
    failures = 0
    for kind, expected in VECTORS.items():
        outcomes = list(judge_vectors(kind))
        wrong = [name for name, is_right in outcomes if not is_right]
        failures += len(wrong) + (len(outcomes) != expected)
        right = len(outcomes) - len(wrong)
        sys.stdout.write(f"merkle {kind}: {right} of {expected} vectors as stated\n")
        sys.stdout.writelines(f"merkle {kind}: {name} came out otherwise\n" for name in wrong)
    if not DIRECTORY.is_dir():
        sys.stdout.write(f"merkle: {DIRECTORY} is missing; set MERKLE_VECTORS to where they are\n")
    sys.stdout.writelines(f"merkle: {name}: we refuse it, on purpose\n" for name in STRICTER)
    return 1 if failures else 0


def judge_vectors(kind: str) -> Iterator[tuple[str, bool]]:
    """Yield each vector's name and whether our verdict is the right one."""
    for path in sorted((DIRECTORY / kind).rglob("*.json")):
        name = path.relative_to(DIRECTORY).as_posix()
        vector = json.loads(path.read_text("utf-8"))
        is_refused = name in STRICTER or vector["wantErr"]
        yield name, refuses(kind, vector) is is_refused


def refuses(kind: str, vector: dict[str, object]) -> bool:
    """Return whether our verifier refuses the vector."""
    try:
        if kind == "inclusion":
            _include(vector)
        else:
            _extend(vector)
    except ProofError:
        return True
    return False


def _include(vector: dict[str, object]) -> None:
    verify_inclusion(
        _number(vector["leafIdx"]),
        _number(vector["treeSize"]),
        _hash(vector["leafHash"]),
        _hashes(vector["proof"]),
        _hash(vector["root"]),
    )


def _extend(vector: dict[str, object]) -> None:
    verify_consistency(
        _number(vector["size1"]),
        _hash(vector["root1"]),
        _number(vector["size2"]),
        _hash(vector["root2"]),
        _hashes(vector["proof"]),
    )


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value


def _hash(value: object) -> bytes:
    assert isinstance(value, str)
    return b64decode(value, validate=True)


def _hashes(value: object) -> list[bytes]:
    assert value is None or isinstance(value, list)
    return [_hash(one) for one in value or []]


if __name__ == "__main__":
    sys.exit(main())
