"""Which scheme a text is of: order of detection, labels, ambiguity (secondary-node §3)."""

import pytest

from resolver.identifier import IdentifierError, Scheme
from resolver.schemes import SCHEMES, format_identifier, parse, parse_handle

BID = "did:bid:efnVUgqQFfYeu97ABf6sGm3WFtVXHZB2"
AMBIGUOUS = "1234567890128"  # a GTIN-13 with a valid check digit, and an Ecode V1


def test_every_scheme_stands_once_in_the_order_of_detection() -> None:
    assert [scheme.NAME for scheme in SCHEMES] == ["did", "gs1", "oid", "doi", "handle", "ecode"]
    assert {scheme.NAME for scheme in SCHEMES} == set(Scheme)


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.NAME)
def test_every_scheme_has_the_same_four_names_in_the_same_order(scheme: object) -> None:
    names = [name for name in vars(scheme) if name in ("NAME", "accepts", "parse", "format")]

    assert names == ["NAME", "accepts", "parse", "format"]


@pytest.mark.parametrize(
    ("text", "scheme", "key"),
    [
        (BID, Scheme.DID, BID),
        ("https://id.example.org/01/09506000134352", Scheme.GS1, "gs1:01/09506000134352"),
        ("(01)09506000134352(10)A/B", Scheme.GS1, "gs1:01/09506000134352/10/A%2FB"),
        ("09506000134352", Scheme.GS1, "gs1:01/09506000134352"),
        ("6901234567892", Scheme.GS1, "gs1:01/06901234567892"),
        ("urn:oid:1.2.156", Scheme.OID, "oid:1.2.156"),
        ("URN:OID:1.2.156", Scheme.OID, "oid:1.2.156"),
        ("1.2.156", Scheme.OID, "oid:1.2.156"),
        ("10.1000/182", Scheme.DOI, "10.1000/182"),
        ("doi:10.1000/abc", Scheme.DOI, "10.1000/ABC"),
        ("88.118.8/x", Scheme.HANDLE, "88.118.8/X"),
        ("88.118", Scheme.HANDLE, "0.NA/88.118"),
        ("0.NA/88.118", Scheme.HANDLE, "0.NA/88.118"),
        ("hdl:10.1000/182", Scheme.HANDLE, "10.1000/182"),
        ("hdl:1.2.156", Scheme.HANDLE, "0.NA/1.2.156"),
        ("10.x/182", Scheme.HANDLE, "10.X/182"),
        ("1234567890123", Scheme.ECODE, "ecode:1234567890123"),
        ("123456", Scheme.ECODE, "ecode:123456"),
        ("ecode:0a1f", Scheme.ECODE, "ecode:0A1F"),
        ("ECODE:400001工/a", Scheme.ECODE, "ecode:400001工/a"),
        (f"gs1:{AMBIGUOUS}", Scheme.GS1, f"gs1:01/0{AMBIGUOUS}"),
        (f"ecode:{AMBIGUOUS}", Scheme.ECODE, f"ecode:{AMBIGUOUS}"),
    ],
)
def test_detection(text: str, scheme: Scheme, key: str) -> None:
    found = parse(text)

    assert (found.scheme, found.key, found.text) == (scheme, key.encode(), text)
    assert parse(format_identifier(found)).key == found.key


def test_text_of_two_schemes_is_an_error_that_names_both() -> None:
    with pytest.raises(IdentifierError, match="gs1 and of ecode"):
        parse(AMBIGUOUS)


def test_named_scheme_always_wins() -> None:
    assert parse(AMBIGUOUS, Scheme.GS1).key == f"gs1:01/0{AMBIGUOUS}".encode()
    assert parse(AMBIGUOUS, Scheme.ECODE).key == f"ecode:{AMBIGUOUS}".encode()
    assert parse("1.2.156", Scheme.HANDLE).key == b"0.NA/1.2.156"
    assert parse("10.1000/182", Scheme.HANDLE).scheme is Scheme.HANDLE
    with pytest.raises(IdentifierError, match="not an OID"):
        parse("88.118.8/x", Scheme.OID)


@pytest.mark.parametrize("text", ["8013", "https://example.org/x", "/x", "abc", "95060001343"])
def test_text_of_no_scheme_is_refused(text: str) -> None:
    with pytest.raises(IdentifierError, match="no identifier scheme"):
        parse(text)


@pytest.mark.parametrize("text", ["", "88.1/\x00", "x" * 2049])
def test_unusable_text_is_refused_before_detection(text: str) -> None:
    with pytest.raises(IdentifierError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (b"gs1:09506000134352", b"gs1:01/09506000134352"),
        (b"gs1:01/09506000134352", b"gs1:01/09506000134352"),
        (b"GS1:9506000134352", b"gs1:01/09506000134352"),
        (b"oid:1.2.156", b"oid:1.2.156"),
        (b"ecode:123456", b"ecode:123456"),
        (BID.encode(), BID.encode()),
        (b"urn:oid:1.2.156", b"0.NA/URN:OID:1.2.156"),
        (b"doi:10.1000/1", b"DOI:10.1000/1"),
        (b"1.2.156", b"0.NA/1.2.156"),
        (b"09506000134352", b"0.NA/09506000134352"),
        (b"10.1000/182", b"10.1000/182"),
        (b"88.1/oid:1", b"88.1/OID:1"),
    ],
)
def test_labels_among_handles(text: bytes, key: bytes) -> None:
    assert parse_handle(text).key == key


def test_malformed_identifier_of_a_labelled_scheme_is_refused_among_handles() -> None:
    with pytest.raises(IdentifierError, match="not an OID"):
        parse_handle(b"oid:x/y")


def test_case_sensitivity_reaches_handles_through_detection() -> None:
    assert parse("88.1.1/aB", case_sensitive=True).key == b"88.1.1/aB"
    assert parse_handle(b"gs1:(01)09506000134352(10)aB", case_sensitive=True).key.endswith(b"/aB")


def test_doi_and_its_handle_have_one_key() -> None:
    for case_sensitive in (False, True):
        as_handle = parse_handle(b"10.1000/abc", case_sensitive=case_sensitive)
        as_doi = parse("10.1000/ABC", case_sensitive=case_sensitive)
        assert (as_handle.key, as_handle.prefixes) == (as_doi.key, as_doi.prefixes)
