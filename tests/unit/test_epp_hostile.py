"""XML that is made to harm is refused before it is read, in words, and at little cost."""

import pytest

from sync.channels.epp import EppError, ResultCode, decode_answer, decode_command
from sync.channels.epp.markup import MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS

EPP = 'xmlns="urn:ietf:params:xml:ns:epp-1.0"'
POLL = f'<epp {EPP}><command><poll op="req"/><clTRID>ABC-1</clTRID></command></epp>'
LAUGHS = "".join([f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10)])

HOSTILE = {
    "billion laughs": (
        f'<!DOCTYPE epp [<!ENTITY l0 "ha">{LAUGHS}]><epp>&l9;</epp>',
        "document types and entities",
    ),
    "quadratic blow-up": (
        f'<!DOCTYPE epp [<!ENTITY a "{"a" * 50_000}">]><epp>{"&a;" * 50_000}</epp>',
        "document types and entities",
    ),
    "external entity": (
        '<!DOCTYPE epp [<!ENTITY x SYSTEM "file:///etc/passwd">]><epp>&x;</epp>',
        "document types and entities",
    ),
    "parameter entity": (
        '<!DOCTYPE epp [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]><epp/>',
        "document types and entities",
    ),
    "external document type": (
        f'<!DOCTYPE epp SYSTEM "http://127.0.0.1/x.dtd">{POLL}',
        "document types and entities",
    ),
    "entity that nobody declared": (POLL.replace("ABC-1", "&x;"), "not well-formed"),
    "processing instruction": (f"<?xml-stylesheet href='x'?>{POLL}", "processing instructions"),
    "too deep": ("<a>" * 100_000 + "</a>" * 100_000, f"more than {MAX_DEPTH} deep"),
    "deep by one": (
        "<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1),
        f"more than {MAX_DEPTH} deep",
    ),
    "too many elements": (f"<a>{'<b/>' * 200_000}</a>", f"more than {MAX_ELEMENTS} elements"),
    "too many attributes": (
        "<a " + " ".join([f"b{n}='c'" for n in range(50_000)]) + "/>",
        "more than 8 attributes",
    ),
    "too long": (POLL.replace("ABC-1", "A" * MAX_BYTES), f"{MAX_BYTES} are allowed"),
    "long name": (f"<{'a' * 1_000_000}/>", "the root is aaa"),
    "wrong namespace": (POLL.replace("epp-1.0", "epp-2.0"), "the root is epp of"),
    "no namespace": (POLL.replace(EPP, ""), "the root is epp of no namespace"),
    "namespace that is not bound": (POLL.replace("<poll", "<x:poll"), "not well-formed"),
    "two roots": (POLL + POLL, "not well-formed"),
    "not closed": (POLL[:-3], "not well-formed"),
    "nothing": ("", "not well-formed"),
    "text beside elements": (POLL.replace("<poll", "x<poll"), "has text beside its elements"),
    "character that XML has not": (POLL.replace("ABC-1", "&#0;"), "not well-formed"),
    "other encoding declared": (
        f'<?xml version="1.0" encoding="GB18030"?>{POLL}',
        "the encoding GB18030 is not read here",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("is_server", [True, False])
def test_hostile_xml_is_refused_in_words_by_either_side(name: str, is_server: bool) -> None:
    text, words = HOSTILE[name]

    with pytest.raises(EppError) as caught:
        decode_command(text.encode()) if is_server else decode_answer(text.encode(), "ABC-1")

    assert words in str(caught.value)
    assert caught.value.code is ResultCode.COMMAND_SYNTAX_ERROR
    assert len(str(caught.value)) <= 1024


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030"])
def test_another_encoding_is_refused(encoding: str) -> None:
    data = POLL.replace("ABC-1", "潍坊-1").encode(encoding)

    with pytest.raises(EppError, match="not UTF-8"):
        decode_command(data)


def test_a_byte_order_mark_of_utf_8_and_an_honest_declaration_are_read() -> None:
    data = b"\xef\xbb\xbf" + f'<?xml version="1.0" encoding="utf-8"?>{POLL}'.encode()

    assert decode_command(data).client_id == "ABC-1"


def test_a_declaration_that_hides_in_text_is_refused_too() -> None:
    """The check looks at bytes, so it cannot be led astray by quoting; escaped text passes."""
    hidden = POLL.replace("ABC-1", "<![CDATA[<!DOCTYPE]]>")

    with pytest.raises(EppError, match="document types"):
        decode_command(hidden.encode())
    assert decode_command(POLL.replace("ABC-1", "&lt;!DOCTYPE").encode()).client_id == "<!DOCTYPE"
