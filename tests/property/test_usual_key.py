"""Laws of the short way to a key: it says what the whole grammar says, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from resolver.identifier import Scheme
from resolver.schemes import parse_handle
from resolver.schemes.handle import usual_key

NAMES = st.one_of(
    st.binary(max_size=60),
    st.from_regex(rb"[0-9A-Za-z.:_~-]{0,40}/[ -~]{0,30}", fullmatch=True),
    st.sampled_from(
        [
            *(b"0.NA/88.1", b"0.na/88.1", b"/x", b"88.1/", b"88.1", b"ecode:1/2", b"88.1/x\n"),
            *(b"1." * 33 + b"1/x", b"88.1/" + b"x" * 2_043, b"88.1/" + b"x" * 2_044),
        ]
    ),
)


@given(NAMES)
def test_it_says_what_the_grammar_says_or_nothing(name: bytes) -> None:
    usual = usual_key(name)
    if usual is None:
        return
    identifier = parse_handle(name)
    assert identifier.scheme is Scheme.HANDLE
    assert not identifier.is_prefix_handle
    assert usual == (identifier.key, identifier.prefixes[0])


@given(st.from_regex(r"[1-9][0-9.]{0,20}/[!-~]{1,20}", fullmatch=True))
def test_it_knows_what_is_usual(text: str) -> None:
    name = text.encode()
    assert usual_key(name) == (name.upper(), name.upper().partition(b"/")[0])
