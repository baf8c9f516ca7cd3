"""DOI, OID, Ecode and DID: grammar, limits, canonical keys, prefix names (secondary-node §3.2–3.4, §3.6)."""

import pytest

from resolver.identifier import IdentifierError
from resolver.schemes import did, doi, ecode, oid

BASE58 = "nVUgqQFfYeu97ABf6sGm3WFtVXHZB2"
BASE64 = "A" * 28 + "+/"
BECH32 = "q" * 42


def test_doi_folds_in_whole_and_names_its_prefixes() -> None:
    found = doi.parse("doi:10.5281.7/Zenodo.é")

    assert found.key == "10.5281.7/ZENODO.é".encode()
    assert found.prefixes == (b"10.5281.7", b"10.5281", b"10")


@pytest.mark.parametrize(
    "text", ["10.123/x", "10.1234567890/x", "10.1000/a b", "11.1000/x", "10.1000/"]
)
def test_not_a_doi(text: str) -> None:
    with pytest.raises(IdentifierError, match="not a DOI"):
        doi.parse(text)


@pytest.mark.parametrize("text", ["1.2.156.1000", "oid:1.2.156.1000", "urn:oid:1.2.156.1000"])
def test_oid_has_one_key_and_every_arc_above_it(text: str) -> None:
    found = oid.parse(text)

    assert found.key == b"oid:1.2.156.1000"
    assert found.prefixes == (b"OID:1.2.156.1000", b"OID:1.2.156", b"OID:1.2", b"OID:1")


@pytest.mark.parametrize("text", ["0.39", "1.39.0", "2.40", "2.999.1", "2.16.156"])
def test_oid_arcs_that_exist(text: str) -> None:
    assert oid.accepts(text)
    assert oid.parse(text).key == f"oid:{text}".encode()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1", "not an OID"),
        ("3.1", "not an OID"),
        ("1.02", "leading zeros"),
        ("1..2", "not an OID"),
        ("1.2.", "not an OID"),
        ("1.-2", "not an OID"),
        ("1.２", "not an OID"),
        ("0.40", "above 39"),
        ("1.40.1", "above 39"),
        ("2" + ".1" * 128, "255 characters"),
    ],
)
def test_not_an_oid(text: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        oid.parse(text)


@pytest.mark.parametrize(
    ("text", "key", "prefix"),
    [
        ("1" + "1234" + "5", b"ecode:112345", b"ECODE:11234"),
        ("1" + "1234" + "5" * 20, b"ecode:11234" + b"5" * 20, b"ECODE:11234"),
        ("2" + "0001" + "5" * 28, b"ecode:20001" + b"5" * 28, b"ECODE:20001"),
        ("3" + "00001" + "aZ9" * 13, b"ecode:300001" + b"aZ9" * 13, b"ECODE:300001"),
        ("4" + "00001" + "工/ x", "ecode:400001工/ x".encode(), b"ECODE:400001"),
        ("0" + "a1" + "f", b"ecode:0A1F", b"ECODE:0A1"),
        ("0" + "a1" + "f" * 61, b"ecode:0A1" + b"F" * 61, b"ECODE:0A1"),
        ("4" + "00001" + "e\u0301", "ecode:400001é".encode(), b"ECODE:400001"),
    ],
)
def test_ecode_versions(text: str, key: bytes, prefix: bytes) -> None:
    found = ecode.parse(f"ecode:{text}")

    assert (found.key, found.prefixes) == (key, (prefix,))
    assert ecode.parse(text).key == key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("11234", "version 1"),
        ("11234" + "5" * 21, "version 1"),
        ("11234x", "version 1"),
        ("20001" + "5" * 29, "version 2"),
        ("300001" + "a" * 40, "version 3"),
        ("300001é", "version 3"),
        ("3000011_", "version 3"),
        ("400001", "version 4"),
        ("0A1", "version 0"),
        ("0A1" + "F" * 62, "version 0"),
        ("0XYZ", "version 0"),
        ("5123", "version 5 of Ecode is reserved"),
        ("9", "reserved"),
        ("a1", "version A of Ecode is forbidden"),
        ("F", "forbidden"),
        ("工", "begins with its version"),
        ("", "empty"),
    ],
)
def test_not_an_ecode(text: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        ecode.parse(f"ecode:{text}")


def test_ecode_case_matters_from_version_three_on() -> None:
    assert ecode.parse("300001a").key != ecode.parse("300001A").key
    assert ecode.parse("400001a").key != ecode.parse("400001A").key


@pytest.mark.parametrize(
    ("text", "taken"),
    [("112345", True), ("400001工", True), ("0A1F", False), ("400001/x", False), ("", False)],
)
def test_what_needs_the_label_of_ecode(text: str, taken: bool) -> None:
    assert ecode.accepts(text) is taken


@pytest.mark.parametrize(
    ("text", "prefixes"),
    [
        (f"did:bid:ef{BASE58}", (b"DID:BID",)),
        (f"did:bid:zf{BASE58[:22]}", (b"DID:BID",)),
        (f"did:bid:sf{BASE58}a", (b"DID:BID",)),
        (f"did:bid:by01:et{BECH32}", (b"DID:BID:BY01", b"DID:BID")),
        (f"did:bid:es{BASE64}==", (b"DID:BID",)),
        (f"did:vaa:{BASE58[:27]}", (b"DID:VAA",)),
        ("did:vaa:IDcontract1:86.100.1234/ABC", (b"DID:VAA",)),
    ],
)
def test_did_in_canonical_form(text: str, prefixes: tuple[bytes, ...]) -> None:
    found = did.parse(text)

    assert (found.key, found.prefixes) == (text.encode(), prefixes)
    assert did.format(found) == text


@pytest.mark.parametrize("suffix", ["A" * 28 + "-_", "A" * 28 + "+/", "A" * 28 + "-_=="])
def test_bid_in_base64_has_one_key_in_either_alphabet(suffix: str) -> None:
    assert did.parse(f"did:bid:es{suffix}").key == f"did:bid:es{BASE64}==".encode()


def test_case_of_a_bid_matters_and_that_of_a_wrapped_handle_does_not() -> None:
    assert did.parse(f"did:bid:ef{'A' * 22}").key != did.parse(f"did:bid:ef{'a' * 22}").key
    wrapped = did.parse("did:vaa:IDcontract1:86.100.1234/abcdfe.123")
    assert wrapped.key == b"did:vaa:IDcontract1:86.100.1234/ABCDFE.123"
    assert wrapped.key == did.parse("did:vaa:IDcontract1:86.100.1234/ABCdfe.123").key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("did:bid:", "not a BID"),
        (f"did:bid:xf{BASE58}", "not a BID"),
        (f"did:bid:ex{BASE58}", "not a BID"),
        (f"did:bid:ef{BASE58[:21]}", "not a BID"),
        (f"did:bid:ef{BASE58}aaa", "not a BID"),
        (f"did:bid:ef{'0' * 22}", "not a BID"),
        (f"did:bid:ABCD:ef{BASE58}", "not a BID"),
        (f"did:bid:abc:ef{BASE58}", "not a BID"),
        (f"did:bid:et{BECH32.upper()}", "not a BID"),
        (f"did:bid:es{BASE64}=", "not a BID"),
        (f"did:bid:ef{BASE58}#key-1", "not a BID"),
        (f"DID:BID:ef{BASE58}", "lower case"),
        ("did:vaa:abc", "not a VAA DID"),
        ("did:vaa:IDcontract1:86.100.1234", "not a VAA DID"),
        ("did:web:example.org", "not served here"),
        ("did:", "not served here"),
    ],
)
def test_not_a_did_of_ours(text: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        did.parse(text)
