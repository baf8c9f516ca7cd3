"""What the headers of a write mean, and which of them are refused."""

import pytest

from resolver.precondition import (
    Precondition,
    etag,
    read_etag,
    read_precondition,
    read_reason,
)
from resolver.registrar import MUST_EXIST
from resolver.target import TargetError, parse_query


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ((None, None, None), Precondition()),
        (('"3"', None, None), Precondition(3)),
        ((" * ", None, None), Precondition(MUST_EXIST)),
        ((None, "*", None), Precondition(0)),
        ((None, None, "a-1"), Precondition(None, "a-1")),
        ((None, None, '"a-1"'), Precondition(None, "a-1")),
        (('"999999999"', None, "k" * 255), Precondition(999_999_999, "k" * 255)),
    ],
)
def test_headers_are_read(
    headers: tuple[str | None, str | None, str | None], wanted: Precondition
) -> None:
    assert read_precondition(*headers) == wanted


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        (('W/"3"', None, None), "If-Match"),
        (('"1", "2"', None, None), "If-Match"),
        (('"0"', None, None), "If-Match"),
        (("3", None, None), "If-Match"),
        (('"9999999999"', None, None), "If-Match"),
        ((None, '"3"', None), "If-None-Match"),
        (("*", "*", None), "exclude"),
        ((None, None, ""), "Idempotency-Key"),
        ((None, None, "k" * 256), "Idempotency-Key"),
        ((None, None, "a b"), "Idempotency-Key"),
        ((None, None, "ключ"), "Idempotency-Key"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(
    headers: tuple[str | None, str | None, str | None], named: str
) -> None:
    with pytest.raises(TargetError, match=named):
        read_precondition(*headers)


def test_etag_is_read_back_and_foreign_ones_are_none() -> None:
    assert (etag(7), read_etag(etag(7))) == ('"7"', 7)
    assert [read_etag(text) for text in ("", "7", 'W/"7"', '"x"')] == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (b"", ""),
        (b"reason=", ""),
        (b"reason=a+b&reason=c", "a b"),
        ("reason=停产".encode(), "停产"),
    ],
)
def test_reason_is_read(query: bytes, reason: str) -> None:
    assert read_reason(parse_query(query)) == reason


@pytest.mark.parametrize(
    "query", [b"reason=%ff", b"reason=%00", b"reason=a%0Ab", b"reason=" + b"x" * 1_025]
)
def test_reason_that_a_log_or_the_database_could_not_hold_is_refused(query: bytes) -> None:
    with pytest.raises(TargetError, match="reason"):
        read_reason(parse_query(query))


def test_reason_in_a_header_is_percent_encoded_and_comes_first() -> None:
    asked = parse_query(b"reason=b")

    assert read_reason(asked, b"%E5%81%9C%E4%BA%A7 1%25") == "停产 1%"
    assert read_reason(asked, b"") == ""
    with pytest.raises(TargetError, match="reason"):
        read_reason(asked, b"a%0d%0aX: y")
