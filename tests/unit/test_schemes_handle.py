"""Handles: grammar, comparison, prefix names, and what may be registered (secondary-node §3.1)."""

import pytest

from resolver.identifier import IdentifierError, Scheme
from resolver.schemes import handle, parse_handle, spelling


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("20.500.12345/h000001", b"20.500.12345/H000001"),
        ("88.118.8/JXDY2106023", b"88.118.8/JXDY2106023"),
        ("88.608.8889/META_453453453", b"88.608.8889/META_453453453"),
        ("86.709.612/cc", b"86.709.612/CC"),
        ("88.1/a/b?c", b"88.1/A/B?C"),
        ("88.1//a", b"88.1//A"),
        ("88.1/工业 é", "88.1/工业 é".encode()),
    ],
)
def test_prefix_and_suffix_compare_without_regard_to_ascii_case(text: str, key: bytes) -> None:
    found = parse_handle(text.encode())

    assert (found.scheme, found.key, found.text) == (Scheme.HANDLE, key, text)


def test_non_ascii_letters_keep_their_case() -> None:
    assert parse_handle("88.1/é".encode()).key != parse_handle("88.1/É".encode()).key


def test_differently_composed_texts_are_one_handle() -> None:
    assert parse_handle("88.1/e\u0301".encode()).key == parse_handle("88.1/\u00e9".encode()).key


def test_folding_returns_composed_text_again() -> None:
    dotted = parse_handle("88.1/i\u0307".encode())

    assert dotted.key == parse_handle("88.1/\u0130".encode()).key
    assert parse_handle(dotted.key).key == dotted.key


def test_prefixes_are_the_prefix_and_its_ancestors() -> None:
    assert parse_handle(b"88.118.8/x").prefixes == (b"88.118.8", b"88.118", b"88")
    assert parse_handle(b"0.na/88.118.8").prefixes == (b"88.118.8", b"88.118", b"88")
    assert parse_handle(b"0.NA/oid:1.2").prefixes == (b"OID:1.2", b"OID:1")


@pytest.mark.parametrize("name", ["88.118.8", "0", "123", "88.abc", "12345"])
def test_name_without_slash_is_a_prefix_handle(name: str) -> None:
    found = parse_handle(name.encode())

    assert found.key == b"0.NA/" + name.upper().encode()
    assert found.is_prefix_handle
    assert found.text == name


def test_label_is_part_of_the_name_on_the_native_port() -> None:
    found = parse_handle(b"hdl:20.500/x")

    assert found.key == b"HDL:20.500/X"
    assert handle.format(found) == "hdl:HDL:20.500/X"
    assert handle.parse(handle.format(found)).key == found.key


def test_label_is_dropped_where_schemes_are_detected() -> None:
    assert handle.parse("hdl:20.500/x").key == handle.parse("HDL:20.500/X").key == b"20.500/X"


def test_case_sensitive_suffix_is_exact_but_prefix_is_not() -> None:
    first = parse_handle(b"20.ab/Xy", case_sensitive=True)

    assert first.key == b"20.AB/Xy"
    assert first.key == parse_handle(b"20.AB/Xy", case_sensitive=True).key
    assert first.key != parse_handle(b"20.ab/xy", case_sensitive=True).key


@pytest.mark.parametrize("text", [b"0.NA/88.ab", b"88.ab", b"10.1000/ab", b"10/ab"])
def test_prefix_names_and_dois_fold_even_when_case_sensitive(text: bytes) -> None:
    assert parse_handle(text, case_sensitive=True).key == parse_handle(text.upper()).key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "empty"),
        (b"/x", "prefix is empty"),
        (b"88.1/", "suffix is empty"),
        (b"88.1/\xff", "UTF-8"),
        (b"88.1/a\x00", "control character U\\+0000"),
        (b"88.1/a\n", "control character U\\+000A"),
        ("88.1/\u0085".encode(), "control character U\\+0085"),
        (b"88.1/" + b"x" * 2048, "2048 bytes"),
        (("88.1/" + "工" * 700).encode(), "2048 bytes"),
        (b"0.NA/88.1/x", "holds no `/`"),
        (b"1." * 40 + b"1/x", "more than 32 parts"),
    ],
)
def test_unusable_names_are_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        parse_handle(text)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(IdentifierError, match="surrogate"):
        handle.parse("88.1/\ud800")


def test_longest_name_and_deepest_prefix_are_taken() -> None:
    name = b"88.1/" + b"x" * (spelling.MAX_IDENTIFIER_BYTES - 5)
    deep = ".".join(["1"] * spelling.MAX_PREFIX_LABELS)

    assert len(parse_handle(name).key) == spelling.MAX_IDENTIFIER_BYTES
    assert len(parse_handle(f"{deep}/x".encode()).prefixes) == spelling.MAX_PREFIX_LABELS


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("88.118.8/x", True),
        ("88.118", True),
        ("20.500.12345", True),
        ("10.1000", True),
        ("0.NA/88.1", True),
        ("1.2.156", False),
        ("10.1000/182", False),
        ("https://example.org/x", False),
        ("/x", False),
        ("12345", False),
    ],
)
def test_detection(text: str, taken: bool) -> None:
    assert handle.accepts(text) is taken


@pytest.mark.parametrize(
    "text", ["88.118.8/x", "hdl:86.1.A-b_c/工业", "88.1021.150.7/002", "20.500.12345/h1", "21/x"]
)
def test_registrable(text: str) -> None:
    assert handle.check_registrable(text).key == handle.parse(text).key


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("88.118/x", "top.node.enterprise"),
        ("86/x", "top.node.enterprise"),
        ("88.abc.1/x", "top.node.enterprise"),
        ("88.118./x", "top.node.enterprise"),
        ("88.118.8", "names a prefix"),
        ("88.118.8/" + "x" * 247, "256 characters"),
        ("88.118.8/a\u200bb", "cannot be printed"),
    ],
)
def test_not_registrable(text: str, reason: str) -> None:
    with pytest.raises(IdentifierError, match=reason):
        handle.check_registrable(text)
