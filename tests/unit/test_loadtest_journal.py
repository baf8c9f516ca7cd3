"""The journal of the writers: what it takes for true, and every fault that it is there to find."""

import pytest

from loadtest.journal import Entry, Kind, Outcome, Version, explain

TOLD, REFUSED, UNKNOWN = Outcome.ACKNOWLEDGED, Outcome.REFUSED, Outcome.UNKNOWN
A, B = ((1, "a"),), ((1, "b"),)
CREATED = Version(1, "create", {1: "a"})
GONE = Version(2, "delete", None)


def created(outcome: Outcome = TOLD, version: int = 1) -> Entry:
    return Entry(Kind.CREATE, A, outcome=outcome, version=version)


@pytest.mark.parametrize(
    ("entry", "version"),
    [
        (Entry(Kind.REPLACE, B), Version(2, "create", {1: "b"})),
        (Entry(Kind.ADD, ((2, "c"),)), Version(2, "add", {1: "a", 2: "c"})),
        (Entry(Kind.MODIFY, B), Version(2, "modify", {1: "b"})),
        (Entry(Kind.MODIFY, B), Version(2, "add", {1: "b"})),
        (Entry(Kind.REMOVE, numbers=(1,)), Version(2, "remove", {})),
        (Entry(Kind.DELETE), GONE),
    ],
)
@pytest.mark.parametrize("outcome", [TOLD, UNKNOWN])
def test_each_kind_of_write_explains_its_version(
    entry: Entry, version: Version, outcome: Outcome
) -> None:
    entry.outcome = outcome

    assert list(explain([CREATED, version], {"w": [created(), entry]})) == []


def test_a_write_without_an_answer_may_be_missing() -> None:
    unknown = Entry(Kind.REPLACE, B)

    assert list(explain([CREATED], {"w": [created(), unknown]})) == []


def test_an_acknowledged_write_that_is_missing_is_lost() -> None:
    told = Entry(Kind.REPLACE, B, outcome=TOLD)

    (fault,) = explain([CREATED], {"w": [created(), told]})

    assert fault.startswith("lost: w was told")


def test_a_write_that_is_there_twice_is_found() -> None:
    """The second time after another's write: else it would change nothing."""
    journal = {
        "w": [Entry(Kind.REPLACE, A, outcome=TOLD)],
        "x": [Entry(Kind.REPLACE, B, outcome=TOLD)],
    }
    versions = [CREATED, Version(2, "create", {1: "b"}), Version(3, "create", {1: "a"})]

    (fault,) = explain(versions, journal)

    assert "version 3 (create) is nobody's write, or one done twice" in fault


def test_a_refused_write_that_was_done_is_found() -> None:
    (fault,) = explain([CREATED], {"w": [created(REFUSED, 0)]})

    assert "nobody's write" in fault


def test_a_mixture_of_two_writes_is_nobodys() -> None:
    writes = [Entry(Kind.REPLACE, ((1, t), (2, t)), outcome=TOLD) for t in ("a", "b")]
    mixed = [Version(1, "create", {1: "a", 2: "a"}), Version(2, "create", {1: "b", 2: "a"})]

    faults = list(explain(mixed, {"w": writes[:1], "x": writes[1:]}))

    assert ["nobody's write" in fault for fault in faults] == [True, False]
    assert faults[1].startswith("lost")


def test_the_order_of_a_writer_holds() -> None:
    entries = [
        created(),
        *(Entry(Kind.ADD, ((n, "x"),), outcome=TOLD) for n in (2, 3)),
    ]
    turned = [
        CREATED,
        Version(2, "add", {1: "a", 3: "x"}),
        Version(3, "add", dict.fromkeys((1, 2, 3), "x")),
    ]

    assert len(list(explain(turned, {"w": entries}))) >= 2


def test_a_gap_in_the_numbers_and_a_wrongly_told_version_are_found() -> None:
    assert list(explain([Version(2, "create", {1: "a"})], {"w": [created(version=2)]})) == [
        "version 2 stands where 1 belongs"
    ]
    assert any("nobody's" in fault for fault in explain([CREATED], {"w": [created(version=4)]}))


def test_another_operation_than_was_asked_for_is_found() -> None:
    gone = [CREATED, Version(2, "remove", {})]

    assert any("nobody's" in f for f in explain(gone, {"w": [created(), Entry(Kind.DELETE)]}))
