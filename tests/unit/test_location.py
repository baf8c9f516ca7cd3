"""Where a record sends a browser."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.answer import MAX_TTL_SECONDS
from resolver.location import (
    MAX_LOCATION_BYTES,
    Location,
    append_to,
    choose_location,
    to_uri,
    ttl_seconds,
)
from resolver.wire import HandleValue

NOW = 1_700_000_000


@pytest.mark.parametrize(
    ("iri", "uri"),
    [
        ("https://example.org/a?b=c#d", "https://example.org/a?b=c#d"),
        ("http://例子.测试/路径?查=询", "http://xn--fsqu00a.xn--0zwm56d/%E8%B7%AF%E5%BE%84?%E6%9F%A5=%E8%AF%A2"),
        ("https://user@host:8443/%E5%B7%A5 x", "https://user@host:8443/%E5%B7%A5%20x"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("mailto:a@example.org", "mailto:a@example.org"),
        ("opc.tcp://plant:4840/a", "opc.tcp://plant:4840/a"),
        ("https://例子.测试:8443/x", "https://xn--fsqu00a.xn--0zwm56d:8443/x"),
        ("https://例子.cn x", "https://%E4%BE%8B%E5%AD%90.cn%20x"),
        ("https://例子.cn／x", "https://%E4%BE%8B%E5%AD%90.cn%EF%BC%8Fx"),
        ("https://例子.cn＠evil.example", "https://%E4%BE%8B%E5%AD%90.cn%EF%BC%A0evil.example"),
        ('https://example.org/"><script>', "https://example.org/%22%3E%3Cscript%3E"),
    ],
)  # fmt: skip
def test_iri_becomes_a_uri_for_a_header(iri: str, uri: str) -> None:
    assert to_uri(iri.encode()) == uri


@pytest.mark.parametrize(
    "iri",
    [
        "",
        "example.org/x",
        "//example.org/x",
        "/x",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "https://example.org/\r\nSet-Cookie: a=b",
        "https://例子.cn\r\nX: y",
        "https://例子\t.cn/",
        "https://example.org/\x7f",
        "https://example.org/" + "x" * MAX_LOCATION_BYTES,
    ],
)
def test_what_cannot_be_followed_has_no_uri(iri: str) -> None:
    assert to_uri(iri.encode()) is None


def test_host_that_is_no_name_is_left_to_the_browser() -> None:
    assert to_uri(b"http://\xff\xfe/x") == "http://%FF%FE/x"


def test_location_is_the_url_with_the_lowest_index() -> None:
    values = [
        HandleValue(9, b"URL", b"https://example.org/9"),
        HandleValue(4, b"url", b" https://example.org/4 ", ttl=60),
        HandleValue(1, b"URL.MIRROR", b"https://example.org/1"),
        HandleValue(2, b"URL", b"not a url"),
    ]

    assert choose_location(values, now=NOW) == Location("https://example.org/4", 60)


def test_record_without_url_has_no_location() -> None:
    assert choose_location([HandleValue(1, b"EMAIL", b"https://example.org")], now=NOW) is None


def test_text_is_appended_before_it_is_escaped() -> None:
    values = [HandleValue(1, b"URL", b"https://example.org/x")]

    found = choose_location(values, append="?批=1 2".encode(), now=NOW)

    assert found is not None
    assert found.uri == "https://example.org/x?%E6%89%B9=1%202"


@pytest.mark.parametrize(
    ("ttl_type", "ttl", "seconds"),
    [
        (0, 60, 60),
        (0, 10**9, MAX_TTL_SECONDS),
        (1, NOW + 100, 100),
        (1, NOW - 100, 0),
        (1, NOW + 10**8, MAX_TTL_SECONDS),
    ],
)
def test_location_is_kept_no_longer_than_its_value(ttl_type: int, ttl: int, seconds: int) -> None:
    assert ttl_seconds(HandleValue(1, b"URL", b"", ttl_type, ttl), NOW) == seconds


@pytest.mark.parametrize(
    ("iri", "more", "whole"),
    [
        ("https://example.com", "?a=b", "https://example.com?a=b"),
        ("https://example.com", "/@evil.com/", "https://example.com/@evil.com/"),
        ("https://example.com/", "@evil.com/", "https://example.com/@evil.com/"),
        ("https://example.com", "@evil.com/", "https://example.com/@evil.com/"),
        ("https://example.com", ".evil.com", "https://example.com/.evil.com"),
        ("https://example.com", ":80@evil", "https://example.com/:80@evil"),
        ("https://example.com", "\\@evil", "https://example.com/\\@evil"),
        ("https://example.com", "。evil.com", "https://example.com/。evil.com"),
        ("https://", "evil.com", "https://"),
        ("https:", "//evil.com", "https:"),
        ("https:/", "evil.com", "https:/"),
        ("HTTPS:example.com", "@evil.com", "HTTPS:example.com"),
        ("opc.tcp:", "//evil.com", "opc.tcp:"),
        ("mailto:a@example.org", "?subject=x", "mailto:a@example.org?subject=x"),
        ("", "https://evil.com", ""),
        ("http", "s://evil.com", "http"),
    ],
)
def test_appended_text_does_not_change_where_the_value_leads(
    iri: str, more: str, whole: str
) -> None:
    assert append_to(iri.encode(), more.encode()).decode() == whole


def test_location_with_an_appended_host_stays_where_it_was() -> None:
    values = [HandleValue(1, b"URL", b"https://example.com")]

    found = choose_location(values, append=b"@evil.com/", now=NOW)

    assert found is not None
    assert found.uri == "https://example.com/@evil.com/"


HOSTS = st.lists(
    st.sampled_from(
        ["例子", "ü", "a", ".", "。", "／", "＠", "\r\n", "\t", "\0", "\x7f", "\x85", " "]
    )
)
IRIS = st.binary(max_size=300) | st.builds(
    lambda host, path: f"https://{''.join(host)}/{path}".encode(), HOSTS, st.text(max_size=20)
)


@given(IRIS)
def test_any_bytes_give_a_safe_uri_or_none(iri: bytes) -> None:
    uri = to_uri(iri)

    assert uri is None or (uri.isascii() and uri.isprintable() and " " not in uri)


@given(HOSTS, st.text(max_size=20) | HOSTS.map("".join))
def test_any_appended_text_leaves_the_authority(host: list[str], more: str) -> None:
    base = f"https://example.com{''.join(host)}".encode()
    alone, whole = to_uri(base), to_uri(append_to(base, more.encode()))

    if alone is not None and whole is not None:
        assert urlsplit(whole).netloc == urlsplit(alone).netloc
