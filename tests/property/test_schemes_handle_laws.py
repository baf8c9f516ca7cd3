"""Laws of handle names: one key for equal names, different keys for different ones, and a stable spelling."""

from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st

from resolver.identifier import IdentifierError
from resolver.schemes import handle, parse_handle

CHARACTERS = st.characters(exclude_categories=["Cc", "Cs"])
PREFIXES = st.lists(
    st.text(st.sampled_from("0123456789abcXYZ-_"), min_size=1, max_size=6), min_size=1, max_size=5
).map(".".join)
SUFFIXES = st.text(CHARACTERS, min_size=1, max_size=40)
NAMES = st.builds("{}/{}".format, PREFIXES, SUFFIXES).filter(
    lambda name: not name.upper().startswith("0.NA/")
)


@given(NAMES, st.booleans())
def test_canonical_spelling_reads_back_as_itself(name: str, case_sensitive: bool) -> None:
    found = handle.parse(name, case_sensitive=case_sensitive)

    again = handle.parse(handle.format(found), case_sensitive=case_sensitive)

    assert again.key == found.key
    assert again.prefixes == found.prefixes
    assert handle.format(again) == handle.format(found)


@given(NAMES)
def test_unicode_forms_of_one_name_have_one_key(name: str) -> None:
    keys = {parse_handle(normalize(form, name).encode()).key for form in ("NFC", "NFD")}

    assert len(keys) == 1


@given(PREFIXES, st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20), min_size=1))
def test_ascii_case_makes_no_difference(prefix: str, suffix: str) -> None:
    name = f"{prefix}9/{suffix}"

    assert parse_handle(name.encode()).key == parse_handle(name.swapcase().encode()).key


@given(NAMES, NAMES)
def test_different_names_have_different_keys(first: str, second: str) -> None:
    same_key = parse_handle(first.encode()).key == parse_handle(second.encode()).key

    assert same_key == (_spell(first) == _spell(second))


@given(st.binary(max_size=60), st.booleans())
def test_any_bytes_are_a_name_or_refused(data: bytes, case_sensitive: bool) -> None:
    try:
        found = parse_handle(data, case_sensitive=case_sensitive)
    except IdentifierError:
        return
    assert b"/" in found.key
    assert all(found.prefixes)


def _spell(name: str) -> str:
    upper = "".join(c.upper() if c.isascii() else c for c in normalize("NFC", name))
    return normalize("NFC", upper)
