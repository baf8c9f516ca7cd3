"""Leaves: what the log commits to, one line of canonical JSON each; one frozen value a kind.

Laws.  `parse(leaf.line()) == leaf`, and a parsed line is written back byte for byte: an unknown kind, an unknown
field, a missing one or another spelling is an error.  A line has at most 4,096 bytes.  Times are microseconds since
1970 UTC, hashes of the tree are base64, digests of files hexadecimal.
"""

from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Self, TypeAlias, get_type_hints

from node.ledger.canonical import CanonicalError, Json, canonical, parse_canonical
from node.ledger.leafforms import (
    CLASSES,
    Form,
    LeafError,
    day,
    dictionary_rows,
    digest,
    flag,
    hash_,
    head,
    month,
    named_numbers,
    named_texts,
    number,
    numbers,
    one_of,
    optional,
    rows,
    text,
    texts,
)

__all__ = ["CLASSES", "MAX_LEAF_BYTES", "Leaf", "LeafError", "parse"]

MAX_LEAF_BYTES = 4_096
VERSION = 1
MAX_LANE, MAX_EPOCH = 2**16 - 1, 2**32 - 1
KEEP_DAYS_RULE = (
    "keep_days"  # in a policy: whole days for which records are kept after the day they are of
)
KEEP_DAYS = 400  # where it does not say: 13 months

Head: TypeAlias = tuple[int, bytes]
"""The size and the root of a tree."""

_LANE, _EPOCH = number("lane", most=MAX_LANE), number("ep", most=MAX_EPOCH)
_TIME, _SPAN = number("t"), numbers("t", 2)
_PER_CLASS = tuple[int, ...]  # successes or records of each class


@dataclass(frozen=True, slots=True)
class _Line:
    """What all kinds can do."""

    kind: ClassVar[str]

    def line(self) -> bytes:
        """Return the line that is hashed.  Raises LeafError for a value that no leaf may have."""
        members: dict[str, Json] = {"v": VERSION, "k": self.kind}
        for name, form in _FORMS[type(self)].items():
            value = getattr(self, name)
            if value is not None:
                members[form.name] = form.write(value)
            elif not form.is_optional:
                raise LeafError(f"a leaf of kind {self.kind} has {form.name}")
        try:
            line = canonical(members)
        except CanonicalError as error:
            raise LeafError(str(error)) from error
        self.read(members)  # an object may have been made with what no line may say
        if len(line) > MAX_LEAF_BYTES:
            raise LeafError(f"a leaf has at most {MAX_LEAF_BYTES} bytes, not {len(line)}")
        return line

    @classmethod
    def read(cls, members: dict[str, Json]) -> Self:
        """Return the leaf with these members.  Raises LeafError."""
        forms = _FORMS[cls]
        names = {form.name for form in forms.values()}
        unknown = members.keys() - names - {"v", "k"}
        missing = {form.name for form in forms.values() if not form.is_optional} - members.keys()
        for wrong, word in ((unknown, "has no"), (missing, "has")):
            if wrong:
                raise LeafError(f"a leaf of kind {cls.kind} {word} {', '.join(sorted(wrong))}")
        values: dict[str, Any] = {
            name: form.read(members[form.name]) if form.name in members else None
            for name, form in forms.items()
        }
        return cls(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Genesis(_Line):
    """The first leaf: whose log this is, its keys, and who has to cosign."""

    kind: ClassVar[str] = "gen"
    origin: Annotated[str, text("origin")]
    node: Annotated[str, text("node")]
    keys: Annotated[tuple[str, ...], texts("keys")]
    policy: Annotated[str, text("policy")]
    time: Annotated[int, _TIME]


@dataclass(frozen=True, slots=True, kw_only=True)
class CountPolicy(_Line):
    """The rules of counting, in force from a time that is later than the leaf."""

    kind: ClassVar[str] = "pol"
    number: Annotated[int, number("no", most=2**16 - 1)]
    since: Annotated[int, number("from")]
    text: Annotated[str, text("text")]
    networks: Annotated[tuple[str, ...], texts("networks")]
    count_loopback: Annotated[bool, flag("count_loopback")]
    robots: Annotated[dict[str, str], named_texts("robots")]
    rules: Annotated[dict[str, int], named_numbers("rules")]
    results: Annotated[dict[str, str], named_texts("results")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthKey(_Line):
    """The digest of a month's key, so that it cannot be chosen afterwards."""

    kind: ClassVar[str] = "key"
    month: Annotated[str, month("month")]
    sha256: Annotated[str, digest("sha256")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dictionary(_Line):
    """New rows of the dictionaries: numbers of prefixes (number, scheme, prefix) and of user agents (number, text)."""

    kind: ClassVar[str] = "dict"
    prefixes: Annotated[tuple[tuple[int, str, str], ...], dictionary_rows("prefix", 2)] = ()
    agents: Annotated[tuple[tuple[int, str], ...], dictionary_rows("ua", 1)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign(_Line):
    """A load test is announced, or over; `observed` are its records, and `protocols` those of each (close only)."""

    kind: ClassVar[str] = "cmp"
    number: Annotated[int, number("no", most=2**16 - 1)]
    state: Annotated[str, one_of("state", "open", "close")]
    time: Annotated[int, _TIME]
    token: Annotated[str, text("token")]
    listener: Annotated[str, text("listener")]
    networks: Annotated[tuple[str, ...], texts("networks")]
    until: Annotated[int, number("until")]
    planned: Annotated[int, number("planned")]
    observed: Annotated[int | None, optional(number("observed"))] = None
    protocols: Annotated[dict[str, int] | None, optional(named_numbers("protocols"))] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(_Line):
    """A lane file begins, or is over; `last` is its last record (close only)."""

    kind: ClassVar[str] = "ep"
    lane: Annotated[int, _LANE]
    epoch: Annotated[int, _EPOCH]
    state: Annotated[str, one_of("state", "open", "close")]
    time: Annotated[int, _TIME]
    boot: Annotated[str, text("boot")]
    durability: Annotated[str, one_of("durability", "process", "group", "strict")]
    last: Annotated[int | None, optional(number("last"))] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(_Line):
    """Consecutive records of a lane: how many of each class, and the hashes of the file that holds them."""

    kind: ClassVar[str] = "blk"
    lane: Annotated[int, _LANE]
    epoch: Annotated[int, _EPOCH]
    block: Annotated[int, number("b")]
    sequence: Annotated[
        tuple[int, ...], numbers("s", 2)
    ]  # first and last record; last < first: none
    span: Annotated[tuple[int, ...], _SPAN]
    records: Annotated[_PER_CLASS, numbers("n", CLASSES)]
    successes: Annotated[_PER_CLASS, numbers("ok", CLASSES)]
    record_root: Annotated[bytes, hash_("rr")]
    sha256: Annotated[str, digest("sha256")]
    sm3: Annotated[str, digest("sm3")]
    previous: Annotated[bytes, hash_("prev")]
    beacon: Annotated[Head, head("bcn")]
    total: Annotated[_PER_CLASS, numbers("cum", CLASSES)]
    policy: Annotated[int, number("pol", most=2**16 - 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(_Line):
    """Records may be missing behind `last`: at most `bound`; of `torn` bytes nothing could be read."""

    kind: ClassVar[str] = "gap"
    lane: Annotated[int, _LANE]
    epoch: Annotated[int, _EPOCH]
    last: Annotated[int, number("last")]
    torn: Annotated[int, number("torn")]
    bound: Annotated[int, number("bound")]
    cause: Annotated[str, text("cause")]
    span: Annotated[tuple[int, ...], _SPAN]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters(_Line):
    """Two independent counts of each worker at one moment: slot, lane, epoch, Prometheus, ledger, in flight."""

    kind: ClassVar[str] = "met"
    time: Annotated[int, _TIME]
    workers: Annotated[tuple[tuple[int, ...], ...], rows("w", 6)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement(_Line):
    """What the top-level node says it has of us, with its signature."""

    kind: ClassVar[str] = "ack"
    first: Annotated[int, number("from")]
    size: Annotated[int, number("to")]
    root: Annotated[bytes, hash_("root")]
    totals: Annotated[_PER_CLASS, numbers("totals", CLASSES)]
    time: Annotated[int, _TIME]
    note: Annotated[str, text("note")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor(_Line):
    """A day's head was given to a clock or a chain that is not ours."""

    kind: ClassVar[str] = "anc"
    anchor: Annotated[str, text("kind")]
    day: Annotated[str, day("day")]
    sha256: Annotated[str, digest("sha256")]
    file: Annotated[str, text("file")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day(_Line):
    """A local day is closed: its totals, the digest of its details, and the head of the evidence index."""

    kind: ClassVar[str] = "day"
    day: Annotated[str, day("day")]
    requests: Annotated[int, number("requests")]
    raw: Annotated[int, number("raw")]
    filtered: Annotated[int, number("filtered")]
    identifiers: Annotated[int, number("ids")]
    clients: Annotated[int, number("clients")]
    test: Annotated[int, number("test")]
    own: Annotated[int, number("self")]
    robot: Annotated[int, number("robot")]
    suspect: Annotated[int, number("suspect")]
    detail: Annotated[str, digest("detail")]
    index: Annotated[Head, head("index")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruning(_Line):
    """The bodies of all blocks that ended by the end of a day go, as the policy in force allows; their leaves stay."""

    kind: ClassVar[str] = "prn"
    until: Annotated[str, day("until")]
    policy: Annotated[int, number("pol", most=2**16 - 1)]
    time: Annotated[int, _TIME]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(_Line):
    """A monthly report was issued; one that is corrected says which it replaces."""

    kind: ClassVar[str] = "rpt"
    period: Annotated[str, month("period")]
    version: Annotated[int, number("version")]
    sha256: Annotated[str, digest("sha256")]
    sm3: Annotated[str, digest("sm3")]
    supersedes: Annotated[str | None, digest("supersedes", is_optional=True)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation(_Line):
    """The log's key changes; the old one and the new one have signed it."""

    kind: ClassVar[str] = "rot"
    old: Annotated[str, text("old")]
    new: Annotated[str, text("new")]
    signed_by_old: Annotated[str, text("sig_old")]
    signed_by_new: Annotated[str, text("sig_new")]
    time: Annotated[int, _TIME]


Leaf: TypeAlias = (
    Genesis
    | CountPolicy
    | MonthKey
    | Dictionary
    | Campaign
    | Epoch
    | Block
    | Gap
    | Meters
    | Acknowledgement
    | Anchor
    | Day
    | Pruning
    | Report
    | Rotation
)
KINDS: tuple[type[Leaf], ...] = (
    Genesis,
    CountPolicy,
    MonthKey,
    Dictionary,
    Campaign,
    Epoch,
    Block,
    Gap,
    Meters,
    Acknowledgement,
    Anchor,
    Day,
    Pruning,
    Report,
    Rotation,
)


def parse(line: bytes) -> Leaf:
    """Return the leaf that a line says.  Raises LeafError."""
    if len(line) > MAX_LEAF_BYTES:
        raise LeafError(f"a leaf has at most {MAX_LEAF_BYTES} bytes")
    try:
        members = parse_canonical(line)
    except CanonicalError as error:
        raise LeafError(str(error)) from error
    if not isinstance(members, dict) or members.get("v") is not VERSION:
        raise LeafError(f"a leaf is an object of version {VERSION}")
    kind = _BY_NAME.get(str(members.get("k")))
    if kind is None:
        raise LeafError(f"there is no leaf of kind {members.get('k')!r}")
    return kind.read(members)


def _forms(kind: type[Leaf]) -> dict[str, Form]:
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name].__metadata__[0] for each in fields(kind)}


_BY_NAME = {kind.kind: kind for kind in KINDS}
_FORMS: dict[type[_Line], dict[str, Form]] = {kind: _forms(kind) for kind in KINDS}
