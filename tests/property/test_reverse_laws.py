"""Reverse look-up: what matches is found, and what matches is what a plain reading of the pattern says."""

import re
from itertools import pairwise

from hypothesis import assume, example, given
from hypothesis import strategies as st

from node.registry.patterns import (
    Pattern,
    PatternError,
    SearchedTypes,
    grams_of,
    searched_texts,
)
from resolver.wire import HandleValue, encode_values

ALL = SearchedTypes.of(["*"])
TEXTS = st.text(
    st.sampled_from("abAB.ßſKİΣς水泵*\x02\x03 ") | st.characters(codec="utf-8"), max_size=40
)


@st.composite
def patterns_of_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and a pattern made of it by putting asterisks in the place of some of its parts."""
    text = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    kept = [piece if draw(st.booleans()) else "*" for piece in pieces]
    return text, "".join(kept)


@given(patterns_of_texts())
@example(("Straße", "*STRASS*"))
def test_text_that_matches_is_found_by_its_grams(case: tuple[str, str]) -> None:
    text, spelled = case
    try:
        pattern = Pattern.read(b"url", spelled.encode())
    except PatternError:
        assume(False)
    wire = encode_values([HandleValue(1, b"URL", text.encode())])
    texts = searched_texts(wire, ALL)
    assert pattern.finds(texts)
    assert set(pattern.grams()) <= set(grams_of(texts))
    assert pattern.grams()


@given(TEXTS, TEXTS)
def test_pattern_means_what_its_expression_means(text: str, spelled: str) -> None:
    try:
        pattern = Pattern.read(b"URL", spelled.encode())
    except PatternError:
        assume(False)
    folded = [re.escape(piece) for piece in spelled.casefold().split("*")]
    expected = re.fullmatch(".*".join(folded), text.casefold(), re.DOTALL) is not None
    assert pattern.matches(text.casefold()) == expected
