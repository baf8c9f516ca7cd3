"""The longer spellings that a path may have for a handle or a DOI."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resolver.frontends.proxy import unwrap


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("88.118.8/x", "88.118.8/x"),
        ("hdl:88.118.8/x", "hdl:88.118.8/x"),
        ("info:hdl/88.118.8/x", "hdl:88.118.8/x"),
        ("INFO:DOI/10.1000/a:b", "doi:10.1000/a:b"),
        ("urn:hdl:88.118.8:x:y", "hdl:88.118.8/x:y"),
        ("urn:doi:10.1000:abc", "doi:10.1000/abc"),
        ("urn:eidr:10.5240:7791", "doi:10.5240/7791"),
        ("urn:oid:1.2.156", "urn:oid:1.2.156"),
        ("urn:hdl:88.118", "hdl:88.118"),
    ],
)
def test_wrapped_names_are_unwrapped(text: str, name: str) -> None:
    assert unwrap(text) == name


@given(st.text(max_size=100))
def test_any_text_is_unwrapped(text: str) -> None:
    unwrap(text)
