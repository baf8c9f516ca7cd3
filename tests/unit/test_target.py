"""What is read from an HTTP request's path, query, body and Accept headers."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.identifier import Scheme
from resolver.target import (
    MAX_PARAMETER_BYTES,
    MAX_PARAMETERS,
    BodyTooLarge,
    TargetError,
    decode_path,
    parse_body,
    parse_json_parameters,
    parse_query,
    prefers_chinese,
    prefers_json,
    read_body,
)


@pytest.mark.parametrize(
    ("raw", "handle"),
    [
        (b"/api/handles/88.1/a+b", b"/88.1/a+b"),
        (b"/api/handles/88.1%2Fx", b"/88.1/x"),
        (b"/api/handles/88.1/a//b", b"/88.1/a//b"),
        (b"/api/handles/88.1/%E5%B7%A5", b"/88.1/\xe5\xb7\xa5"),
        (b"/api/handles/88.1/%ff%00", b"/88.1/\xff\x00"),
        (b"/api/handles/88.1/100%", b"/88.1/100%"),
        (b"/%61pi/handles/88.1/x", b"/88.1/x"),
        (b"/api/handles", b""),
    ],
)
def test_path_is_decoded_once_and_keeps_plus_and_slashes(raw: bytes, handle: bytes) -> None:
    assert decode_path(raw, b"/api/handles") == handle


def test_parameters_keep_their_order_and_repeat() -> None:
    parameters = parse_query(b"type=URL&index=1&type=E%20M+A%2BIL&pretty")

    assert parameters.all(b"type") == (b"URL", b"E M A+IL")
    assert parameters.first(b"index") == b"1"
    assert parameters.first(b"pretty") == b""
    assert parameters.first(b"absent") is None


def test_semicolons_separate_where_they_may() -> None:
    assert parse_query(b"a=1;b=2&c", b"&;").pairs == ((b"a", b"1"), (b"b", b"2"), (b"c", b""))
    assert parse_query(b"a=1;b=2").pairs == ((b"a", b"1;b=2"),)


@pytest.mark.parametrize(
    ("query", "value"),
    [
        (b"", False),
        (b"auth", True),
        (b"auth=", True),
        (b"auth=YES", True),
        (b"auth=True", True),
        (b"auth=1", False),
        (b"auth=false", False),
    ],
)
def test_flag_is_read_as_the_reference_reads_it(query: bytes, value: bool) -> None:
    assert parse_query(query).flag(b"auth") is value


def test_flag_that_is_absent_has_the_default_of_its_place() -> None:
    assert parse_query(b"").flag(b"publicOnly", absent=True)
    assert not parse_query(b"publicOnly=false").flag(b"publicOnly", absent=True)


@pytest.mark.parametrize("text", [b"x", b"", b"1.5", b"9" * 5000, b"2147483648", b"\xff"])
def test_index_that_is_no_number_is_an_error_or_ignored(text: bytes) -> None:
    parameters = parse_query(b"index=7&index=" + text)

    with pytest.raises(TargetError):
        parameters.indexes()
    assert parameters.readable_indexes() == (7,)


def test_scheme_is_named_in_any_case_or_detected() -> None:
    assert parse_query(b"scheme=GS1").scheme() is Scheme.GS1
    assert parse_query(b"scheme=").scheme() is None
    with pytest.raises(TargetError, match="ecode"):
        parse_query(b"scheme=isbn").scheme()


def test_json_body_holds_the_same_parameters_as_a_query() -> None:
    body = b'{"type":["URL","EMAIL"],"index":3,"auth":true,"pretty":false}'
    query = b"type=URL&type=EMAIL&index=3&auth=true&pretty=false"

    assert parse_json_parameters(body) == parse_query(query)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":null}', b'{"a":{}}', b'{"a":[[1]]}'])
def test_json_body_of_another_shape_is_an_error(body: bytes) -> None:
    with pytest.raises(TargetError):
        parse_json_parameters(body)


def test_body_is_read_by_its_content_type() -> None:
    assert parse_body("", b"").pairs == ()
    assert parse_body("application/x-www-form-urlencoded", b"a=1").pairs == ((b"a", b"1"),)
    assert parse_body("Application/JSON; charset=x", b'{"a":1}').pairs == ((b"a", b"1"),)
    with pytest.raises(TargetError, match="Unsupported media type text/plain"):
        parse_body("text/plain", b"a=1")


def test_too_many_or_too_long_parameters_are_an_error() -> None:
    assert len(parse_query(b"a&" * MAX_PARAMETERS).pairs) == MAX_PARAMETERS
    with pytest.raises(TargetError, match="more than"):
        parse_query(b"a&" * (MAX_PARAMETERS + 1))
    with pytest.raises(TargetError, match="longer than"):
        parse_query(b"a" * (MAX_PARAMETER_BYTES + 1))
    with pytest.raises(TargetError, match="more than"):
        parse_query(b"a&" * MAX_PARAMETERS) + parse_query(b"a")


async def test_body_is_read_up_to_its_limit() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"ab"
        yield b""
        yield b"cd"

    assert await read_body(pieces(), 4) == b"abcd"
    with pytest.raises(BodyTooLarge):
        await read_body(pieces(), 3)


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", True),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json, text/html;q=0.5", True),
        ("application/json;q=0.1, */*;q=0.2", False),
        ("text/html;q=0, application/*", True),
        ("application/json;q=rubbish", False),
    ],
)
def test_json_is_preferred_only_when_said(accept: str, json: bool) -> None:
    assert prefers_json(accept) is json


@pytest.mark.parametrize(
    ("languages", "chinese"),
    [
        ("", False),
        ("*", False),
        ("zh-CN,zh;q=0.9,en;q=0.8", True),
        ("en-US,en;q=0.9,zh-CN;q=0.8", False),
        ("zh", True),
        ("de,zh;q=0.3", True),
    ],
)
def test_chinese_is_preferred_only_when_said(languages: str, chinese: bool) -> None:
    assert prefers_chinese(languages) is chinese


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(path: bytes, query: bytes) -> None:
    decode_path(path, b"/api/handles")
    parameters = parse_query(query, b"&;")
    parameters.flag(b"auth")
    parameters.readable_indexes()


@given(st.text(max_size=100))
def test_any_accept_header_is_read(header: str) -> None:
    prefers_json(header)
    prefers_chinese(header)
