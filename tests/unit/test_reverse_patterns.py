import pytest

from node.registry.patterns import (
    MAX_PATTERN_GRAMS,
    MAX_RECORD_CHARACTERS,
    MAX_TEXT_CHARACTERS,
    Pattern,
    PatternError,
    SearchedTypes,
    grams_of,
    searched_texts,
)
from resolver.wire import HandleValue, encode_values

ALL = SearchedTypes.of(["*"])


def url(pattern: str) -> Pattern:
    return Pattern.read(b"URL", pattern.encode())


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("http://dkrz.de", "http://dkrz.de"),
        ("*DKRZ*", "http://dkrz.de"),
        ("http*", "http"),
        ("*.de", "http://dkrz.de"),
        ("http*dkrz*e", "http://dkrz.de"),
        ("h*tp:*", "http:"),
        ("*水*", "型号水泵"),
        ("STRASSE*", "Straße 1"),
        ("ab**cde", "abcde"),
    ],
)
def test_pattern_matches_without_regard_to_case(pattern: str, text: str) -> None:
    assert url(pattern).matches(text.casefold())


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("dkrz", "http://dkrz.de"),
        ("*dkrz", "http://dkrz.de"),
        ("dkrz*", "http://dkrz.de"),
        ("*abc*abc*", "abcabx"),
        ("abc*abc", "abc"),
        ("abab*bab", "ababab"[:5]),
        ("*abc?e*", "abcde"),
        ("*泵水*", "水泵"),
    ],
)
def test_pattern_does_not_match_anything_else(pattern: str, text: str) -> None:
    assert not url(pattern).matches(text.casefold())


@pytest.mark.parametrize("pattern", ["", "*", "**", "a*", "ab", "*a*b*c*", "é"])
def test_pattern_with_fewer_than_three_characters_in_a_row_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError, match="at least three characters in a row"):
        url(pattern)


def test_pattern_that_is_no_utf8_is_refused() -> None:
    with pytest.raises(PatternError, match="UTF-8"):
        Pattern.read(b"URL", b"abc\xff")
    with pytest.raises(PatternError, match="UTF-8"):
        Pattern.read(b"\xff", b"abcd")


def test_ends_of_a_text_are_grams_of_their_own() -> None:
    exact, inner = set(url("abc").grams()), set(url("*abc*").grams())
    assert inner < exact
    assert len(inner) == 1


def test_types_are_told_apart_by_the_grams() -> None:
    assert not set(url("*abc*").grams()) & set(Pattern.read(b"EMAIL", b"*abc*").grams())


def test_long_pattern_is_looked_up_by_some_of_its_grams() -> None:
    assert len(url("".join(map(str, range(1_000)))).grams()) == MAX_PATTERN_GRAMS


def test_public_text_of_all_types_but_reserved_ones_is_searched() -> None:
    values = [
        HandleValue(1, b"url", b"HTTP://A"),
        HandleValue(2, b"URL", "水泵".encode()),
        HandleValue(3, b"HS_ALIAS", b"88.1/x"),
        HandleValue(4, b"BLOB", b"\xff\xfe"),
        HandleValue(5, b"HS_SECKEY", b"secret"),
    ]
    assert searched_texts(encode_values(values), ALL) == {b"URL": ["http://a", "水泵"]}


def test_named_types_alone_are_searched_and_never_a_secret() -> None:
    values = [
        HandleValue(1, b"URL", b"a"),
        HandleValue(3, b"HS_ALIAS", b"88.1/x"),
        HandleValue(5, b"HS_SECKEY", b"secret"),
    ]
    types = SearchedTypes.of(["HS_ALIAS", "HS_SECKEY"])
    assert searched_texts(encode_values(values), types) == {b"HS_ALIAS": ["88.1/x"]}


def test_text_is_searched_up_to_a_limit() -> None:
    wire = encode_values([HandleValue(1, b"URL", ("水" * 2_000).encode())])
    (text,) = searched_texts(wire, ALL)[b"URL"]
    assert text == "水" * MAX_TEXT_CHARACTERS


def test_record_is_searched_up_to_a_limit() -> None:
    values = [HandleValue(index, b"URL", b"a" * 1_000) for index in range(1, 100)]
    texts = searched_texts(encode_values(values), ALL)[b"URL"]
    assert len("".join(texts)) == MAX_RECORD_CHARACTERS


def test_record_that_cannot_be_read_has_no_texts() -> None:
    assert searched_texts(b"\xff\xff", ALL) == {}


def test_rules_tell_one_setting_from_another() -> None:
    named = [SearchedTypes.of(names).rules for names in (["*"], ["URL"], ["url", "EMAIL"], [])]
    assert len(set(named)) == 4
    assert SearchedTypes.of(["B", "A"]).rules == SearchedTypes.of(["a", "b"]).rules


def test_gram_fits_the_column() -> None:
    grams = grams_of({b"URL": ["".join(map(chr, range(32, 1_000)))]})
    assert all(-(2**31) <= gram < 2**31 for gram in grams)
