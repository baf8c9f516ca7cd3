"""The sync tables: cadences and keys as the guide has them, rows in one form, and verdicts that say what to do."""

from typing import Any

import orjson
import pytest

from sync.channels.cadence import Cadence
from sync.channels.tables import (
    ACCEPTED,
    MAX_ROW_BYTES,
    MAX_SOURCES,
    TABLES,
    Code,
    Fault,
    Verdict,
)
from tests.support.model import PERSONAL
from tests.support.tablerows import table_rows

_SITE = {"ip_type": "4", "ip": "192.0.2.1", "tcp_port": 2641}
SPEC = {
    Cadence.REAL_TIME: {"1", "2", "11", "E"},
    Cadence.HOURLY: {"6", "7"},
    Cadence.DAILY: {"3", "4", "8", "9", "M1", "M2"},
    Cadence.MONTHLY: {"5", "10"},
}
KEYS = {
    "1": "88.118",
    "2": "vaa|88.118",
    "3": "88.118|2026-01-31|1",
    "4": "88.118.8/META_BEARING|1.0",
    "5": "追溯",
    "6": "e1",
    "7": "vaa|88.118.8",
    "8": "88.118.8|2026-01-31|1",
    "9": "88.118.8/JXDY2106023",
    "10": "e1|追溯",
    "11": "88.118.8/META_BEARING|1.0",
    "M1": "88.118|2026-01-31",
    "M2": "88.118.8|2026-01-31",
    "E": "e-2",
}


def with_change(number: str, path: str, value: object) -> dict[str, Any]:
    """The honest row of a table with one member set, or removed when the value is `...`."""
    row = table_rows()[number]
    *above, last = path.split(".")
    place: Any = row
    for step in above:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if value is ...:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return row


def verdict_on(number: str, row: object) -> Verdict:
    body = orjson.dumps(row, option=orjson.OPT_SORT_KEYS)
    return TABLES[number].check(body, key=KEYS[number])


def test_every_table_has_the_cadence_of_the_guide() -> None:
    found = {number: table.cadence for number, table in TABLES.items()}

    assert found == {number: cadence for cadence, numbers in SPEC.items() for number in numbers}


@pytest.mark.parametrize("number", TABLES)
def test_an_honest_row_is_accepted_under_its_key_as_it_was_sent(number: str) -> None:
    table, row = TABLES[number], table_rows()[number]

    body = table.encode(row)

    assert table.key_of(row) == KEYS[number]
    assert table.check(body, key=KEYS[number]) == ACCEPTED
    assert table.decode(body) == row
    assert body == orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


@pytest.mark.parametrize("number", TABLES)
def test_a_row_needs_each_required_field_and_no_other(number: str) -> None:
    for field in TABLES[number].fields:
        row = table_rows()[number]
        row.pop(field.name, None)
        if field.required:
            assert verdict_on(number, row).code is Code.MISSING
            assert verdict_on(number, row).field == field.name

    verdict = verdict_on(number, table_rows()[number] | {"surprise": 1})

    assert (verdict.code, verdict.field) == (Code.UNKNOWN_FIELD, "surprise")
    assert verdict_on(number, table_rows()[number] | {"张\n": 1}).field == "?"


@pytest.mark.parametrize(
    ("number", "path", "value", "code"),
    [
        ("1", "entity.website", ..., Code.MISSING),
        ("1", "entity.organisation.nature", 6, Code.WRONG_CHOICE),
        ("1", "entity.organisation.nature", True, Code.WRONG_CHOICE),
        ("1", "entity.organisation.province", "37000", Code.WRONG_FORM),
        ("1", "entity.organisation.founded", "2010-02-30", Code.WRONG_FORM),
        ("1", "entity.organisation.name", "", Code.WRONG_LENGTH),
        ("1", "entity.organisation.name", "轴" * 256, Code.WRONG_LENGTH),
        ("1", "entity.organisation.name", " 轴承", Code.WRONG_FORM),
        ("1", "entity.organisation.name", "轴\n承", Code.WRONG_FORM),
        ("1", "entity.organisation.name", 7, Code.WRONG_TYPE),
        ("1", "entity.organisation.website", None, Code.WRONG_TYPE),
        ("1", "entity.organisation", [], Code.WRONG_TYPE),
        ("1", "entity.installations", [], Code.WRONG_LENGTH),
        ("1", "entity.installations", "all", Code.WRONG_TYPE),
        ("1", "entity.operated.party", ..., Code.MISSING),
        ("1", "entity.website.addresses.0", "2001:db8::1%eth0", Code.WRONG_FORM),
        ("2", "sites.0.tcp_port", 0, Code.OUT_OF_RANGE),
        ("2", "sites.0.tcp_port", 2641.0, Code.WRONG_TYPE),
        ("2", "sites.0.ip_type", "6", Code.INCONSISTENT),
        ("2", "sites.0", {"ip_type": "4", "ip": "192.0.2.1"}, Code.MISSING),
        ("2", "sites", [_SITE, _SITE | {"tcp_port": 2642}], Code.INCONSISTENT),
        ("7", "sites", [_SITE, _SITE | {"tcp_port": 2642}], Code.INCONSISTENT),
        ("3", "requests", True, Code.WRONG_TYPE),
        ("3", "successes", 11, Code.INCONSISTENT),
        ("3", "requests", -1, Code.OUT_OF_RANGE),
        ("3", "requests", 2**53, Code.OUT_OF_RANGE),
        ("3", "part", 2, Code.INCONSISTENT),
        ("3", "sources.0.resolutions", 7, Code.INCONSISTENT),
        ("3", "sources.0.ip", "2001:db8::7", Code.INCONSISTENT),
        ("6", "entity.organisation.certificate_photo", "f1", Code.UNKNOWN_FIELD),
        ("6", "entity.organisation.contact.photo_front", "f1", Code.UNKNOWN_FIELD),
        ("6", "verification.passed", 1, Code.WRONG_TYPE),
        ("9", "operation", 4, Code.WRONG_CHOICE),
        ("11", "industry.subclass", ..., Code.MISSING),
        ("11", "state", "draft", Code.WRONG_CHOICE),
        ("M1", "resolution_max_at", ..., Code.MISSING),
        ("M1", "resolution_peak_at", ..., Code.MISSING),
        ("M1", "resolution_mean", "99", Code.INCONSISTENT),
        ("M1", "resolution_mean", "0.40", Code.WRONG_FORM),
        ("M1", "resolution_mean", 4, Code.WRONG_TYPE),
        ("M1", "resolution_max_at", "2026-01-31T08:00:01+08:00", Code.WRONG_FORM),
        ("E", "answers", ..., Code.INCONSISTENT),
        ("E", "type", "abnormal", Code.INCONSISTENT),
        ("E", "answers", "e-2", Code.INCONSISTENT),
        ("E", "cause_class", 5, Code.WRONG_CHOICE),
    ],
)
def test_a_wrong_row_gets_a_verdict_that_names_the_field(
    number: str, path: str, value: object, code: Code
) -> None:
    row = with_change(number, path, value)

    verdict = verdict_on(number, row)

    assert verdict.code is code
    assert not verdict.is_accepted
    assert verdict.reason
    assert verdict.field.split(".")[0] in {field.name for field in TABLES[number].fields}


def test_a_day_without_registrations_has_no_latency_of_them() -> None:
    row = {"prefix": "88.118", "day": "2026-01-31"}

    assert verdict_on("M1", row) == ACCEPTED


def test_a_fault_of_ours_is_raised_before_anything_is_sent() -> None:
    with pytest.raises(Fault, match="operation: give one of 1, 2, 3"):
        TABLES["9"].encode(with_change("9", "operation", 4))
    with pytest.raises(Fault, match="bytes; 524288 are allowed"):
        TABLES["9"].decode(b" " * (MAX_ROW_BYTES + 1))


def test_a_member_that_is_none_is_left_out() -> None:
    row = table_rows()["9"]

    assert TABLES["9"].encode(row | {"brand": None}) == TABLES["9"].encode(row)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.UNREADABLE),
        (b"[]", Code.UNREADABLE),
        (b"{", Code.UNREADABLE),
        (b'"\xff"', Code.UNREADABLE),
        (b"[" * 200_000, Code.UNREADABLE),
        (b'{"a":' * 50_000, Code.UNREADABLE),
        (b"9" * 100_000, Code.UNREADABLE),
        (b" " * (MAX_ROW_BYTES + 1), Code.TOO_LARGE),
        (b'{"name":NaN}', Code.WRONG_TYPE),
        (b"{}", Code.MISSING),
    ],
)
def test_what_is_no_row_is_refused_in_words(body: bytes, code: Code) -> None:
    assert TABLES["5"].check(body, key="x").code is code


def test_only_the_canonical_bytes_of_a_row_are_accepted() -> None:
    """Two spellings of one row would have two digests."""
    row = table_rows()["5"]
    honest = TABLES["5"].encode(row)

    for body in (
        orjson.dumps(row, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2),
        honest.replace("追".encode(), b"\\u8ffd"),
        honest.replace(b'"type":2', b'"type":1,"type":2'),
        honest + b" ",
    ):
        assert TABLES["5"].check(body, key="追溯").code is Code.NOT_CANONICAL


def test_a_row_under_another_key_is_refused() -> None:
    verdict = TABLES["9"].check(TABLES["9"].encode(table_rows()["9"]), key="88.118.8/OTHER")

    assert (verdict.code, verdict.field) == (Code.WRONG_KEY, "identifier")


def test_keys_of_several_fields_cannot_be_confused() -> None:
    first = TABLES["4"].key_of({"name": "a|b", "version": "c"})
    second = TABLES["4"].key_of({"name": "a", "version": "b|c"})
    third = TABLES["4"].key_of({"name": "a%7Cb", "version": "c"})

    assert len({first, second, third}) == 3


def test_a_key_of_one_field_is_that_field_and_keeps_its_order() -> None:
    identifiers = ["88.118/A", "88.118/A%B", "88.118/A&B", "88.118/A|B"]

    assert [TABLES["9"].key_of({"identifier": each}) for each in identifiers] == identifiers


def test_no_verdict_repeats_what_a_row_says_of_a_person() -> None:
    """Reasons are logged and shown: each personal value is made wrong in turn, and looked for."""
    people = ("entity.organisation.legal_person", "entity.organisation.contact")
    for path in [f"{above}.{field}" for above in people for field in ("name", "phone", "email")]:
        for wrong in (" {}", "{}" * 200, "{}\n"):
            value = wrong.replace("{}", PERSONAL[0])
            verdict = verdict_on("6", with_change("6", path, value))
            assert not verdict.is_accepted
            assert PERSONAL[0] not in f"{verdict.field} {verdict.reason}"


def test_the_longest_list_of_sources_fits_into_a_row() -> None:
    row = table_rows()["3"] | {"requests": 2**53 - 1, "successes": 0}
    row["sources"] = [
        {
            "ip": f"2001:db8:1111:2222:3333:4444:{n // 65536:x}:{n % 65536 + 1:x}",
            "resolutions": 10**9,
        }
        for n in range(MAX_SOURCES)
    ]

    assert len(TABLES["3"].encode(row)) < MAX_ROW_BYTES
