"""GS1: keys, qualifiers, check digits, Digital Link (secondary-node §3.5, features-and-contracts §4)."""

import pytest

from resolver.identifier import IdentifierError
from resolver.schemes import gs1
from resolver.schemes.application_identifier import (
    KEYS,
    QUALIFIERS,
    compute_check_digit,
    compute_check_pair,
)

WHOLE = b"gs1:01/09506000134352/22/2A/10/ABC/21/12"


@pytest.mark.parametrize(
    ("digits", "check"),
    [
        ("0950600013435", "2"),  # the GTIN of GS1's own examples
        ("950600013435", "2"),
        ("690123456789", "2"),
        ("1234567", "0"),
        ("03600029145", "2"),
        ("00614141123456789", "0"),  # SSCC
    ],
)
def test_check_digit(digits: str, check: str) -> None:
    assert compute_check_digit(digits) == check


def test_check_pair_of_the_general_specifications() -> None:
    assert compute_check_pair("1987654Ad4X4bL5ttr2310c") == "2K"


@pytest.mark.parametrize(
    "text",
    [
        "https://id.example.org/01/09506000134352/22/2A/10/ABC/21/12",
        "http://id.example.org/01/09506000134352/22/2A/10/ABC/21/12/",
        "https://id.example.org/a/b/c/01/9506000134352/22/2A/10/ABC/21/12?17=251231#top",
        "HTTPS://example.org/414/stem/01/09506000134352/22/2A/10/%41BC/21/12",
        "gs1:01/09506000134352/22/2A/10/ABC/21/12",
        "gs1:/01/9506000134352/22/2A/10/ABC/21/12/",
        "01/09506000134352/22/2A/10/ABC/21/12",
        "(01)09506000134352(22)2A(10)ABC(21)12",
        "(21)12(10)ABC(01)9506000134352(22)2A",
        "GS1:(01)09506000134352(22)2A(10)ABC(21)12",
    ],
)
def test_every_spelling_has_one_key(text: str) -> None:
    found = gs1.parse(text)

    assert found.key == WHOLE
    assert found.text == text
    assert gs1.format(found) == WHOLE.decode()


@pytest.mark.parametrize(
    ("text", "gtin"),
    [
        ("12345670", "00000012345670"),
        ("036000291452", "00036000291452"),
        ("9506000134352", "09506000134352"),
        ("09506000134352", "09506000134352"),
    ],
)
def test_gtin_is_filled_up(text: str, gtin: str) -> None:
    assert gs1.accepts(text)
    assert gs1.parse(text).key == gs1.parse(f"(01){text}").key == f"gs1:01/{gtin}".encode()


@pytest.mark.parametrize(
    "path",
    [
        "00/006141411234567890",
        "01/09506000134352",
        "01/09506000134352/235/TPX-1",
        "253/9506000134352ABC",
        "255/9506000134352123",
        "401/9506000HOUSE",
        "402/95060001343520008",
        "414/9506000134352/254/32a",
        "414/9506000134352/7040/1ABC",
        "415/9506000134352/8020/REF-1",
        "417/9506000134352/7040/1AB_",
        "8003/09506000134352SERIAL",
        "8004/9506000ASSET/7040/1ABC",
        "8006/095060001343520102/22/2A",
        "8010/9506000A#%2F-/8011/12",
        "8013/1987654Ad4X4bL5ttr2310c2K",
        "8017/950600013435200001/8019/12",
        "8018/950600013435200001",
    ],
)
def test_every_key_is_read_in_canonical_form(path: str) -> None:
    path = repair(path)

    assert gs1.parse(f"gs1:{path}").key == f"gs1:{path}".encode()
    assert gs1.accepts(f"https://id.example.org/{path}")


def repair(path: str) -> str:
    """Put the right check digit into the example."""
    code, value, *rest = path.split("/", 2)
    lengths = {"00": 18, "402": 17, "8017": 18, "8018": 18}
    if code in lengths:
        value = value[: lengths[code] - 1] + compute_check_digit(value[: lengths[code] - 1])
    return "/".join([code, value, *rest])


def test_every_key_and_qualifier_of_the_table_is_tried_above() -> None:
    (mark,) = test_every_key_is_read_in_canonical_form.pytestmark  # type: ignore[attr-defined]
    codes = {code for path in mark.args[1] for code in path.split("/")[::2]}

    assert codes | {"10", "21"} == KEYS.keys() | QUALIFIERS.keys()


def test_slash_and_percent_stay_encoded_in_the_key_and_nothing_else_does() -> None:
    found = gs1.parse("https://id.example.org/01/09506000134352/10/A%2fB%25%3F%22")

    assert found.key == b'gs1:01/09506000134352/10/A%2FB%25?"'
    assert gs1.parse('(01)09506000134352(10)A/B%?"').key == found.key
    assert gs1.parse(gs1.format(found)).key == found.key


def test_value_that_looks_like_an_escape_is_a_different_one() -> None:
    assert gs1.parse("(01)09506000134352(10)%41").key != gs1.parse("(01)09506000134352(10)A").key


def test_value_that_looks_like_a_key_is_a_value() -> None:
    assert gs1.parse("https://e.org/01/09506000134352/10/01").key.endswith(b"/10/01")
    assert gs1.parse("https://e.org/01/09506000134352/10/01/21/414").key.endswith(b"/21/414")


def test_company_prefix_candidates_are_without_indicator_and_longest_first() -> None:
    found = gs1.parse("(01)19506000134359")

    assert found.prefixes[0] == b"GS1:950600013435"
    assert b"GS1:9506000" in found.prefixes
    assert found.prefixes[-1] == b"GS1:9506"
    assert len(found.prefixes) == 9


@pytest.mark.parametrize(
    ("path", "first"),
    [
        (repair("00/395060001343520000"), b"GS1:950600013435"),
        ("8003/09506000134352X", b"GS1:950600013435"),
        ("8004/95060X1234567", b"GS1:95060"),
        ("414/9506000134352", b"GS1:950600013435"),
    ],
)
def test_company_prefix_of_other_keys(path: str, first: bytes) -> None:
    assert gs1.parse(f"gs1:{path}").prefixes[0] == first


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9506000134353", "check digit is 3 and should be 2"),
        ("(01)09506000134353", "check digit is 3 and should be 2"),
        ("(00)006141411234567891", "check digit"),
        ("(8003)09506000134353", "check digit"),
        ("(8003)19506000134352", "GRAI"),
        ("(8013)1987654Ad4X4bL5ttr2310c2L", "check characters are 2L and should be 2K"),
        ("(8006)095060001343520301", "piece 03 of 01"),
        ("(8006)095060001343520001", "piece 00 of 01"),
        ("(8004)950X", "GIAI"),
        ("950600013435", "check digit"),
        ("95060001343", "not a GS1 identifier"),
        ("hello", "not a GS1 identifier"),
        ("(01)0950600013435٢", "GTIN"),
        ("(10)ABC", "0 GS1 keys"),
        ("(01)09506000134352(414)9506000134352", "2 GS1 keys"),
        ("(01)09506000134352(17)251231", "leave out what only describes"),
        ("(01)09506000134352(10)A(10)B", "each once"),
        ("(01)09506000134352(10)A(235)B", "goes with 22, 10, 21 or 235"),
        ("(00)006141411234567890(10)A", "no others"),
        ("(415)9506000134352", r"needs \(8020\)"),
        ("(01)09506000134352(10)", "lot"),
        ("(01)09506000134352(10)" + "x" * 21, "lot"),
        ("(01)09506000134352(10)a b", "lot"),
        ("(01)09506000134352(10)é", "lot"),
        ("(8010)9506000ab", "CPID"),
        ("(8010)9506000AB(8011)01", "first not 0"),
        ("gs1:01/09506000134352/21/1/10/A", "write 22, then 10, then 21"),
        ("https://e.org/01/09506000134352/21/1/10/A", "write 22, then 10, then 21"),
        ("https://e.org/01/09506000134352/foo", "value without its code"),
        ("https://e.org/01/09506000134352/foo/bar", "not with foo"),
        ("https://e.org/gtin/09506000134352", "no GS1 key"),
        ("https://e.org/", "no GS1 key"),
        ("gs1:stem/x/01/09506000134352", "no GS1 key"),
        ("gs1:01/09506000134352/10/%zz", "no escape"),
        ("gs1:01/09506000134352/10/%FF", "not UTF-8"),
        ("gs1:01/09506000134352/10/%00", "lot"),
        ("gs1:01//10/A", "GTIN"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        gs1.parse(text)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("https://id.example.org/01/09506000134352", True),
        ("https://example.org/page/1", False),
        ("https://example.org", False),
        ("09506000134353", False),
        ("95060001343", False),
        ("(01)1", True),
        ("(a)1", False),
        ("01/09506000134352", False),
    ],
)
def test_what_is_taken_without_naming_the_scheme(text: str, taken: bool) -> None:
    assert gs1.accepts(text) is taken
