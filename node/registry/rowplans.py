"""Row plans: how values of some kinds, encoded already, become a record's row; pure.

Records of one enterprise are made of the same kinds of values, so that what follows from these is found out once.
"""

from collections.abc import Sequence
from typing import NamedTuple

from node.registry.encoding import EncodedValue
from node.store.load import pack_times
from resolver.answer import MAX_TTL_SECONDS
from resolver.wire import MAX_VALUES

_COUNT_BYTES = 4


class Kind(NamedTuple):
    """What a row wants to know of a value besides its bytes; see `EncodedValue`."""

    number: int
    is_public: bool
    ttl: int
    expires: int
    is_secret: bool

    @classmethod
    def of(cls, value: EncodedValue) -> "Kind":
        """Return the kind of a value."""
        return cls(value.number, value.is_public, value.ttl, value.expires, value.is_secret)


class RowPlan(NamedTuple):
    """How values of these kinds become a row: which are public, and their order by index (None: all, as they are)."""

    times: bytes  # TTL and expiry as COPY takes them
    whole_count: bytes
    public_count: bytes
    public: tuple[int, ...] | None
    by_index: tuple[int, ...] | None

    def join(
        self, wires: Sequence[bytes], jsons: Sequence[bytes]
    ) -> tuple[bytes, bytes, bytes | None]:
        """Return wire, JSON and whole of the row; see the columns of `RecordRow`."""
        wire, whole = self.whole_count + b"".join(wires), None
        if self.public is not None:
            wire, whole = self.public_count + b"".join([wires[each] for each in self.public]), wire
        if self.by_index is not None:
            jsons = [jsons[each] for each in self.by_index]
        return wire, b"[%b]" % b",".join(jsons), whole


def plan_row(kinds: Sequence[Kind]) -> RowPlan | None:
    """Return the plan for values of these kinds; None when there is a secret, an index twice, or too many."""
    indexes = {kind.number for kind in kinds}
    if not len(indexes) == len(kinds) <= MAX_VALUES or any(kind.is_secret for kind in kinds):
        return None
    public = [place for place, kind in enumerate(kinds) if kind.is_public]
    by_index = sorted(public, key=lambda place: kinds[place].number)
    ttl = min([MAX_TTL_SECONDS, *[kinds[place].ttl for place in public]])
    expires = min([kinds[place].expires for place in public if kinds[place].expires], default=None)
    as_they_are = list(range(len(kinds)))
    return RowPlan(
        pack_times(ttl, expires),
        len(kinds).to_bytes(_COUNT_BYTES, "big"),
        len(public).to_bytes(_COUNT_BYTES, "big"),
        None if public == as_they_are else tuple(public),
        None if by_index == as_they_are else tuple(by_index),
    )
