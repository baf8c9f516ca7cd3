"""V2 and V3: all leaves are read and hashed anew; tiles, newest head, older heads and memory are compared with that.

No proof is needed: who has all leaves computes every root.  The heads that are compared include those that nobody has
cosigned, the published checkpoint and the remembered one.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from node.ledger.keys import to_base64
from node.ledger.tiles import ENTRIES, TILE_HEIGHT, TILE_WIDTH, decode_entries, tile_at
from node.ledger.tlog import EMPTY_ROOT, HASH_BYTES, leaf_hash, node_hash
from node.ledger.verify.checks import Check
from node.ledger.verify.files import EvidenceFiles, Unreadable
from node.ledger.verify.findings import Findings, grouped
from node.ledger.verify.heads import CHECKPOINT, Heads

COPY = "leaves.jsonl"


class Tower:
    """The full subtrees of a growing tree, the largest first: all that its root needs."""

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []

    def append(self, leaf: bytes) -> Iterator[tuple[int, bytes]]:
        """Add a leaf hash; yield each full subtree that it completes, with its height."""
        self.size += 1
        self._nodes.append(leaf)
        yield 0, leaf
        height, rest = 0, self.size
        while rest % 2 == 0:
            height, rest = height + 1, rest // 2
            right = self._nodes.pop()
            self._nodes[-1] = node_hash(self._nodes[-1], right)
            yield height, self._nodes[-1]

    def root(self) -> bytes:
        """Return the root as it is now."""
        if not self._nodes:
            return EMPTY_ROOT
        found = self._nodes[-1]
        for left in reversed(self._nodes[:-1]):
            found = node_hash(left, found)
        return found


class Expected(NamedTuple):
    """A root that something claims for a size."""

    root: bytes
    check: Check
    whose: str


class Line(NamedTuple):
    """A leaf as it lies in the log: its place, its bytes, its hash."""

    number: int
    data: bytes
    hash: bytes


class MerkleRules:
    """Reads the leaves once, in order, and judges the tree on the way."""

    def __init__(
        self,
        files: EvidenceFiles,
        heads: Heads,
        remembered: tuple[int, bytes] | None,
        findings: Findings,
    ) -> None:
        self._files = files
        self._heads = heads
        self._findings = findings
        self._tower = Tower()
        self._edges: defaultdict[int, list[bytes]] = defaultdict(list)
        self._expected: defaultdict[int, list[Expected]] = defaultdict(list)
        self._copy = files.lines(COPY)
        self._broken_tiles = 0
        self._expect(remembered)
        published = heads.published.size if heads.published else 0
        self.size = max(heads.newest.size, published)

    def lines(self) -> Iterator[Line]:
        """Yield the leaves under the newest cosigned head; what stands behind it is hashed, and not judged."""
        judged = self._heads.newest.size
        self._compare(0)
        for index, data in self._entries():
            hashed = leaf_hash(data)
            self._add(hashed)
            self._compare(index + 1)
            self._compare_copy(index, data)
            if index < judged:
                yield Line(index, data, hashed)

    def finish(self) -> None:
        """Judge the right edge, and say what was found."""
        if self._tower.size == self.size:
            self._compare_copy(self.size, None)
        for level, edge in list(self._edges.items()):
            if edge and self._tower.size == self.size:
                self._compare_tile(level, self.size >> (TILE_HEIGHT * level), edge)
        newest = self._heads.newest
        self._findings.tell(
            "V2", f"size {grouped(newest.size)} root {to_base64(newest.root)[:12]}…"
        )
        for size, claims in self._expected.items():
            if size > self._tower.size == self.size:
                for claim in claims:
                    self._findings.fail(
                        claim.check, f"{claim.whose} has {size} leaves, this log {self.size}"
                    )

    def _expect(self, remembered: tuple[int, bytes] | None) -> None:
        newest = self._heads.newest
        for head in self._heads.all:
            check = Check.V2_ROOT if head is newest else Check.V3_HEAD
            self._expected[head.size].append(Expected(head.root, check, head.file))
        if self._heads.published is not None:
            claim = Expected(self._heads.published.root, Check.V3_HEAD, CHECKPOINT)
            self._expected[self._heads.published.size].append(claim)
        text = f"consistent with {grouped(len(self._heads.all))} heads"
        if remembered is not None:
            size, root = remembered
            claim = Expected(root, Check.V3_REMEMBERED, "the remembered head")
            self._expected[size].append(claim)
            text += f" and the remembered one of {grouped(size)}"
        self._findings.tell("V3", text)

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        for number in range(-(-self.size // TILE_WIDTH)):
            tile = tile_at(0, number, self.size)._replace(level=ENTRIES)
            try:
                entries = decode_entries(self._files.tile(tile))
            except (Unreadable, ValueError) as error:
                self._findings.fail(Check.V2_MISSING, f"{error}", file=f"log/{tile.path}")
                return
            if len(entries) < tile.width:
                self._findings.fail(
                    Check.V2_MISSING, f"log/{tile.path} is cut off", file=f"log/{tile.path}"
                )
                return
            yield from enumerate(entries[: tile.width], number * TILE_WIDTH)

    def _add(self, hashed: bytes) -> None:
        for height, found in self._tower.append(hashed):
            level, rest = divmod(height, TILE_HEIGHT)
            if rest:
                continue
            edge = self._edges[level]
            edge.append(found)
            if len(edge) == TILE_WIDTH:
                self._compare_tile(level, self._tower.size >> (TILE_HEIGHT * level), edge)
                edge.clear()

    def _compare_tile(self, level: int, count: int, edge: list[bytes]) -> None:
        tile = tile_at(level, (count - 1) // TILE_WIDTH, self.size)
        path = f"log/{tile.path}"
        try:
            data = self._files.tile(tile)
        except Unreadable as error:
            self._findings.fail(Check.V2_MISSING, str(error), file=path)
            return
        if data[: tile.width * HASH_BYTES] != b"".join(edge):
            self._findings.fail(
                Check.V2_TILE, f"{path} has other hashes than its leaves", file=path
            )

    def _compare(self, size: int) -> None:
        for claim in self._expected.pop(size, ()):
            if claim.root != self._tower.root():
                self._findings.fail(
                    claim.check,
                    f"{claim.whose} says root {to_base64(claim.root)[:12]}… at {size} leaves, "
                    f"which make {to_base64(self._tower.root())[:12]}…",
                )

    def _compare_copy(self, index: int, data: bytes | None) -> None:
        """`data` is None for what should be the end of the copy."""
        if self._copy is None:
            return
        try:
            line = next(self._copy, None)
        except Unreadable as error:
            self._findings.fail(Check.V2_MISSING, str(error), file=COPY)
            self._copy = None
            return
        if line != data:
            self._findings.fail(
                Check.V2_COPY, f"{COPY} has another line for leaf {index}", leaf=index, file=COPY
            )
            self._copy = None
