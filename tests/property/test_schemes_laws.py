"""Laws of every scheme: parse and format are inverse, equal names have one key, different ones two."""

from random import Random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.identifier import Identifier, IdentifierError, Scheme
from resolver.schemes import format_identifier, gs1, parse, parse_handle
from resolver.schemes.application_identifier import KEYS, compute_check_digit

DIGITS = "0123456789"
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
SET_82 = "".join(chr(c) for c in range(0x21, 0x7B) if chr(c) not in "#$@[\\]^`")
PRINTABLE = st.characters(exclude_categories=["Cc", "Cs"])


def text_of(characters: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(characters), min_size=least, max_size=most)


@st.composite
def gs1_pairs(draw: st.DrawFn) -> list[tuple[str, str]]:
    digits = draw(text_of(DIGITS, 13, 13))
    pairs = [("01", digits + compute_check_digit(digits))]
    codes = [code for code in ("22", "10", "21") if draw(st.booleans())]
    return [*pairs, *((code, draw(text_of(SET_82, 1, 20))) for code in codes)]


def write_path(pairs: list[tuple[str, str]]) -> str:
    return "/".join(f"{code}/{quote(value, safe='')}" for code, value in pairs)


OIDS = st.builds(
    lambda head, rest: ".".join([*head, *map(str, rest)]),
    st.sampled_from([("0", "1"), ("1", "2"), ("1", "39"), ("2", "16"), ("2", "999")]),
    st.lists(st.integers(0, 10**6), max_size=8),
)
ECODES = st.one_of(
    st.builds("ecode:0{}".format, text_of("0123456789ABCDEFabcdef", 3, 63)),
    st.builds("ecode:1{}".format, text_of(DIGITS, 5, 24)),
    st.builds("ecode:2{}".format, text_of(DIGITS, 5, 32)),
    st.builds("ecode:3{}{}".format, text_of(DIGITS, 5, 5), text_of(BASE58 + "0OIl", 1, 39)),
    st.builds("ecode:4{}{}".format, text_of(DIGITS, 5, 5), st.text(PRINTABLE, min_size=1)),
)
DOIS = st.builds(
    "10.{}/{}".format,
    text_of(DIGITS, 4, 9),
    st.text(PRINTABLE, min_size=1).filter(lambda text: not any(map(str.isspace, text))),
)
BIDS = st.builds(
    "did:bid:{}{}{}".format,
    st.sampled_from(["", "by01:", "0000:"]),
    st.sampled_from("ezs"),
    text_of(BASE58, 22, 31).map("f{}".format)
    | text_of(BASE58 + "0+/-_", 30, 30).map("s{}".format)
    | text_of("abcdefghijklmnopqrstuvwxyz0123456789", 42, 42).map("t{}".format),
)
GS1S = gs1_pairs().map(lambda pairs: f"gs1:{write_path(pairs)}")
ALL = st.one_of(OIDS, ECODES, DOIS, BIDS, GS1S)


@given(ALL)
def test_canonical_spelling_reads_back_as_itself(text: str) -> None:
    found = parse(text)

    again = parse(format_identifier(found))

    assert (again.scheme, again.key, again.prefixes) == (found.scheme, found.key, found.prefixes)
    assert format_identifier(again) == format_identifier(found)


@given(ALL)
def test_canonical_spelling_names_the_same_record_among_handles(text: str) -> None:
    found = parse(text)

    assert parse_handle(format_identifier(found).encode()).key == found.key


@given(ALL, ALL)
def test_key_and_canonical_spelling_tell_the_same_apart(first: str, second: str) -> None:
    one, other = parse(first), parse(second)

    assert (one.key == other.key) == (format_identifier(one) == format_identifier(other))


@given(OIDS, OIDS)
def test_different_oids_have_different_keys(first: str, second: str) -> None:
    assert (parse(first).key == parse(f"urn:oid:{second}").key) == (first == second)


@given(gs1_pairs(), gs1_pairs())
def test_different_gs1_identifiers_have_different_keys(
    first: list[tuple[str, str]], second: list[tuple[str, str]]
) -> None:
    keys = [gs1.parse(write_path(pairs)).key for pairs in (first, second)]

    assert (keys[0] == keys[1]) == (first == second)


@given(gs1_pairs(), st.randoms(use_true_random=False))
def test_spellings_of_one_gs1_identifier_have_one_key(
    pairs: list[tuple[str, str]], random: Random
) -> None:
    path = write_path(pairs)
    shuffled = random.sample(pairs, len(pairs))
    spellings = [f"gs1:{path}", f"https://id.example.org/stem/{path}?linkType=all", f"/{path}/"]
    if not any("(" in value for _, value in pairs):
        spellings.append("".join(f"({code}){value}" for code, value in shuffled))

    assert len({gs1.parse(spelling).key for spelling in spellings}) == 1


@given(gs1_pairs(), st.integers(0, 13), st.integers(1, 9))
def test_a_wrong_digit_is_found(pairs: list[tuple[str, str]], place: int, change: int) -> None:
    gtin = pairs[0][1]
    wrong = gtin[:place] + str((int(gtin[place]) + change) % 10) + gtin[place + 1 :]

    with pytest.raises(IdentifierError, match="check digit"):
        gs1.parse(f"(01){wrong}")


@given(
    st.text(max_size=60)
    | st.text(st.sampled_from("0123456789./:()%+-did:oidgs1ecbhl"), max_size=40),
    st.none() | st.sampled_from(list(Scheme)),
    st.booleans(),
)
def test_any_text_is_an_identifier_or_refused(
    text: str, scheme: Scheme | None, case_sensitive: bool
) -> None:
    try:
        found = parse(text, scheme, case_sensitive=case_sensitive)
    except IdentifierError:
        return
    assert_sound(found, case_sensitive)


@given(st.sampled_from(list(KEYS)), st.text(st.sampled_from(SET_82 + "é "), max_size=31))
def test_any_value_of_a_key_is_an_identifier_or_refused(code: str, value: str) -> None:
    try:
        found = gs1.parse(f"gs1:{code}/{quote(value, safe='')}")
    except IdentifierError:
        return
    assert_sound(found, case_sensitive=False)


def assert_sound(found: Identifier, case_sensitive: bool) -> None:
    again = parse(format_identifier(found), case_sensitive=case_sensitive)
    assert again.key == found.key
    assert found.prefixes
    assert all(prefix == prefix.upper() and prefix for prefix in found.prefixes)
