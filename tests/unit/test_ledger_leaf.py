"""Leaves: one line of canonical JSON a kind, read back strictly."""

import json
from base64 import b64decode
from dataclasses import replace

import pytest
import rfc8785

from node.ledger.canonical import MAX_NUMBER, CanonicalError, canonical, parse_canonical
from node.ledger.leaf import (
    KINDS,
    MAX_LEAF_BYTES,
    Acknowledgement,
    Anchor,
    Block,
    Campaign,
    CountPolicy,
    Day,
    Dictionary,
    Epoch,
    Gap,
    Genesis,
    Leaf,
    LeafError,
    Meters,
    MonthKey,
    Pruning,
    Report,
    Rotation,
    parse,
)

ROOT, DIGEST = bytes(range(32)), "0123456789abcdef" * 4
BLOCK = Block(
    lane=3,
    epoch=41,
    block=1234,
    sequence=(5_050_369, 5_054_464),
    span=(1_790_000_000_000_000, 1_790_000_030_000_000),
    records=(4_096, 0, 0, 0, 0, 0),
    successes=(4_081, 0, 0, 0, 0, 0),
    record_root=ROOT,
    sha256=DIGEST,
    sm3=DIGEST,
    previous=ROOT,
    beacon=(18_211, ROOT),
    total=(9_000_000, 1, 2, 3, 4, 5),
    policy=7,
)
CAMPAIGN = Campaign(
    number=1,
    state="open",
    time=1,
    token=DIGEST,
    listener="127.0.0.1:8000",
    networks=("192.0.2.0/24",),
    until=2,
    planned=1_000_000,
)
EPOCH = Epoch(lane=0, epoch=1, state="open", time=1, boot="00" * 16, durability="group")
GENESIS = Genesis(origin="log.example", node="节点", keys=("k",), policy="quorum none\n", time=1)
LEAVES: tuple[Leaf, ...] = (
    GENESIS,
    CountPolicy(
        number=1,
        since=2,
        text="规则\u2028\x7f",
        networks=(),
        count_loopback=False,
        robots={"sha256": DIGEST},
        rules={"window_s": 30},
        results={"1": "ok", "100": "not found", "\U0001f600": "ef", "ﬀ": "after it"},
    ),
    MonthKey(month="2026-11", sha256=DIGEST),
    Dictionary(prefixes=((1, "handle", "88.118"),), agents=((0, 'curl/8 "x"\\'),)),
    CAMPAIGN,
    replace(CAMPAIGN, state="close", observed=999_999),
    EPOCH,
    replace(EPOCH, state="close", last=0),
    BLOCK,
    Gap(lane=0, epoch=1, last=9, torn=64, bound=212, cause="power loss", span=(1, 2)),
    Meters(time=1, workers=((0, 0, 1, 5, 5, 0), (1, 1, 7, 9, 8, 1))),
    Acknowledgement(first=0, size=9, root=ROOT, totals=(1, 0, 0, 0, 0, 0), time=1, note="n"),
    Anchor(anchor="rfc3161", day="2026-11-03", sha256=DIGEST, file="a.tsr"),
    Day(
        day="2026-11-03",
        requests=9,
        raw=8,
        filtered=7,
        identifiers=6,
        clients=5,
        test=4,
        own=3,
        robot=2,
        suspect=1,
        detail=DIGEST,
        index=(3, ROOT),
    ),
    Report(period="2026-11", version=2, sha256=DIGEST, sm3=DIGEST, supersedes=DIGEST),
    Pruning(until="2026-11-03", policy=2, time=1),
    Rotation(old="a", new="b", signed_by_old="c", signed_by_new="d", time=1),
)


def names(leaf: Leaf) -> str:
    return leaf.kind


def test_every_kind_is_tried() -> None:
    assert {type(leaf) for leaf in LEAVES} == set(KINDS)


@pytest.mark.parametrize("leaf", LEAVES, ids=names)
def test_leaf_is_read_back_as_it_was(leaf: Leaf) -> None:
    assert parse(leaf.line()) == leaf


@pytest.mark.parametrize("leaf", LEAVES, ids=names)
def test_line_is_the_canonical_json_of_others(leaf: Leaf) -> None:
    assert leaf.line() == rfc8785.dumps(json.loads(leaf.line()))


@pytest.mark.parametrize("leaf", LEAVES, ids=names)
def test_unknown_or_missing_field_is_an_error(leaf: Leaf) -> None:
    members = json.loads(leaf.line())
    with pytest.raises(LeafError):
        parse(canonical(members | {"zz": 1}))
    for name in members:
        less = {key: value for key, value in members.items() if key != name}
        if name not in {"last", "observed", "supersedes"}:
            with pytest.raises(LeafError):
                parse(canonical(less))


@pytest.mark.parametrize("leaf", LEAVES, ids=names)
def test_field_of_another_form_is_an_error(leaf: Leaf) -> None:
    members = json.loads(leaf.line())
    wrong: list[object] = [-1, True, "\0 no", [1], {"a": [1]}, MAX_NUMBER, [[]]]
    for name, value in members.items():
        for other in wrong:
            data = canonical(members | {name: other})
            try:
                assert parse(data).line() == data
            except LeafError:
                continue
            assert type(other) is type(value)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b'{"k":"met"}',
        b'{"k":"nil","v":1}',
        b'{"k":"met","t":1,"v":2,"w":[]}',
        b'{"k":"met","t":1,"v":true,"w":[]}',
        b'{"k":"met","t":1.0,"v":1,"w":[]}',
        b'{"k":"met","t":1e3,"v":1,"w":[]}',
        b'{"k":"met","t":NaN,"v":1,"w":[]}',
        b'{"k":"met","t":1,"t":1,"v":1,"w":[]}',
        b'{"k":"met", "t":1,"v":1,"w":[]}',
        b'{"t":1,"k":"met","v":1,"w":[]}',
        b'{"k":"met","t":1,"v":1,"w":[]}\n',
        b'{"k":"\\u006det","t":1,"v":1,"w":[]}',
        b'{"k":"met","t":9007199254740992,"v":1,"w":[]}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_line_that_is_not_the_one_way_to_write_a_leaf_is_an_error(line: bytes) -> None:
    with pytest.raises(LeafError):
        parse(line)


def test_hash_with_stray_low_bits_is_an_error() -> None:
    members = json.loads(BLOCK.line())
    for name in ("rr", "prev"):
        text = members[name]
        spoilt = text[:-2] + chr(ord(text[-2]) + 1) + "="
        assert b64decode(spoilt) == b64decode(text)
        with pytest.raises(LeafError, match="one right way"):
            parse(canonical(members | {name: spoilt}))


def test_leaf_of_the_design_has_its_spelling() -> None:
    members = json.loads(BLOCK.line())
    assert list(members) == sorted(
        [
            "v",
            "k",
            "lane",
            "ep",
            "b",
            "s",
            "t",
            "n",
            "ok",
            "rr",
            "sha256",
            "sm3",
            "prev",
            "bcn",
            "cum",
            "pol",
        ]
    )
    assert len(BLOCK.line()) < 700


def test_value_that_no_line_may_have_is_not_written() -> None:
    for wrong in (replace(BLOCK, lane=-1), replace(BLOCK, sha256="x"), replace(EPOCH, state="x")):
        with pytest.raises(LeafError):
            wrong.line()
    with pytest.raises(LeafError, match="4096 bytes"):
        replace(GENESIS, policy="x" * MAX_LEAF_BYTES).line()
    with pytest.raises(LeafError, match="surrogate"):
        replace(GENESIS, node="\ud800").line()


def test_canonical_json_refuses_what_a_ledger_does_not_need() -> None:
    for value in (1.5, None, b"x", {1: 2}, 2**53, [[[]] * 2, {"a": {2}}]):
        with pytest.raises(CanonicalError):
            canonical(value)  # type: ignore[arg-type]  # that is the point
    deep: object = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(CanonicalError):
        canonical(deep)  # type: ignore[arg-type]  # any JSON
    assert parse_canonical(canonical({"b": [True, -1], "a": "é"})) == {"a": "é", "b": [True, -1]}
