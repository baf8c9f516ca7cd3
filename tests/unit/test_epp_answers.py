"""Answers of the registration channel: the drafts' examples, and the verdict a client draws from each."""

from datetime import UTC, datetime

import pytest

from sync.channels.epp import (
    Answer,
    Created,
    EppError,
    Known,
    Notice,
    Outcome,
    Queue,
    ResultCode,
    Spelling,
    decode_answer,
    encode_answer,
)

EPP = 'xmlns="urn:ietf:params:xml:ns:epp-1.0"'
ENT = "urn:ietf:params:xml:ns:idis-ent-1.0"
PREFIX = "urn:ietf:params:xml:ns:idis-entprefix-1.0"
AT = datetime(2026, 1, 31, 0, 0, tzinfo=UTC)
NOTICE = Notice("ABC-0", "SV-0", "ENT-7", "88.1000.1", 1, 1, "同意")
ANSWERS = (
    Answer(ResultCode.COMPLETED, "成功", "ABC-1", "SV-1"),
    Answer(ResultCode.COMPLETED, "", "ABC-1", "SV-1", data=Known()),
    Answer(ResultCode.COMPLETED, "", "ABC-1", "SV-1", data=Known("ENT-7")),
    Answer(ResultCode.COMPLETED, "", "ABC-1", "SV-1", data=Created("ENT-7")),
    Answer(ResultCode.COMPLETED_ACTION_PENDING, "waiting", "ABC-1", "SV-1"),
    Answer(
        ResultCode.COMPLETED_ACK_TO_DEQUEUE, "", "ABC-1", "SV-1", "", Queue(5, "12345", AT), NOTICE
    ),
    Answer(ResultCode.COMPLETED, "", "ABC-1", "SV-1", queue=Queue(4, "12345")),
    Answer(ResultCode.PARAMETER_VALUE_POLICY_ERROR, "no", "ABC-1", "SV-1", "名称 <不> 一致"),
)


def answer(
    inner: str, code: str = "1000", trid: str = "<clTRID>ABC-1</clTRID><svTRID>SV-1</svTRID>"
) -> bytes:
    return (
        f'<epp {EPP}><response><result code="{code}"><msg lang="en">words</msg></result>{inner}'
        f"<trID>{trid}</trID></response></epp>"
    ).encode()


def refused(data: bytes) -> str:
    with pytest.raises(EppError) as caught:
        decode_answer(data, "ABC-1")
    return str(caught.value)


@pytest.mark.parametrize("one", ANSWERS)
@pytest.mark.parametrize("spelling", Spelling)
def test_an_answer_is_read_as_it_was_written(one: Answer, spelling: Spelling) -> None:
    assert decode_answer(encode_answer(one, spelling=spelling), "ABC-1") == one


def test_a_new_enterprise_is_answered_as_the_draft_has_it() -> None:
    data = encode_answer(ANSWERS[3])

    assert (
        b'<resData><ent:creData xmlns:ent="urn:ietf:params:xml:ns:idis-ent-1.0">'
        b"<ent:entId>ENT-7</ent:entId></ent:creData></resData>"
    ) in data
    assert b"<trID><clTRID>ABC-1</clTRID><svTRID>SV-1</svTRID></trID>" in data


def test_a_decision_is_read_whatever_the_element_around_it_is_called() -> None:
    inner = (
        '<msgQ count="1" id="9"><qDate>2026-01-31T08:00:00.0+08:00</qDate><msg>one</msg></msgQ>'
        '<resData><p:anything xmlns:p="urn:ietf:params:xml:ns:prefix-1.0">'
        "<p:clTRID>ABC-0</p:clTRID><p:svTRID>SV-0</p:svTRID><p:entId>ENT-7</p:entId>"
        "<p:prefix>88.1000.1</p:prefix><p:state>1</p:state><p:auditResult>2</p:auditResult>"
        "<p:auditResultMsg>名称不一致</p:auditResultMsg></p:anything></resData>"
    )

    read = decode_answer(answer(inner, "1301"), "ABC-1")

    assert read.queue == Queue(1, "9", AT)
    assert read.data == Notice("ABC-0", "SV-0", "ENT-7", "88.1000.1", 1, 2, "名称不一致")
    assert isinstance(read.data, Notice)
    assert not read.data.is_passed


def test_what_a_server_says_beyond_the_draft_is_passed_over() -> None:
    data = (
        f'<resData><e:creData xmlns:e="{ENT}"><e:crDate>2026</e:crDate><e:entId>ENT-7</e:entId>'
        "<e:more><e:x/></e:more></e:creData></resData><extension/>"
    )

    assert decode_answer(answer(data), "ABC-1").data == Created("ENT-7")
    assert decode_answer(answer('<resData><x xmlns="urn:x"/></resData>'), "ABC-1").data is None


def test_a_passed_review_is_told_from_a_refused_one() -> None:
    assert NOTICE.is_passed


def test_all_results_of_a_failure_and_their_reasons_are_told() -> None:
    data = (
        f'<epp {EPP}><response><result code="2003"><msg>one</msg></result>'
        '<result code="2004"><msg>two</msg><value/><extValue><value><x/></value>'
        "<reason>too long</reason></extValue></result>"
        "<extension/><trID><clTRID>ABC-1</clTRID><svTRID>SV-1</svTRID></trID></response></epp>"
    )

    read = decode_answer(data.encode(), "ABC-1")

    assert (read.code, read.message) == (ResultCode.REQUIRED_PARAMETER_MISSING, "one; two")
    assert read.reason == "too long"


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (ResultCode.COMPLETED, Outcome.DONE),
        (ResultCode.COMPLETED_ACTION_PENDING, Outcome.WAITING),
        (ResultCode.COMPLETED_NO_MESSAGES, Outcome.NOTHING),
        (ResultCode.COMPLETED_ACK_TO_DEQUEUE, Outcome.NOTICE),
        (ResultCode.OBJECT_EXISTS, Outcome.REFUSED),
        (ResultCode.PARAMETER_VALUE_POLICY_ERROR, Outcome.REFUSED),
        (ResultCode.AUTHORIZATION_ERROR, Outcome.FORBIDDEN),
        (ResultCode.COMMAND_FAILED, Outcome.AGAIN),
        (ResultCode.SESSION_LIMIT_EXCEEDED_CLOSING, Outcome.AGAIN),
    ],
)
def test_each_code_says_what_to_do_next(code: ResultCode, outcome: Outcome) -> None:
    assert decode_answer(answer("", str(code.value)), "ABC-1").outcome is outcome


def test_every_code_of_failure_is_no_success() -> None:
    for code in ResultCode:
        done = Answer(code, "", "ABC-1", "SV-1").outcome in (
            Outcome.DONE,
            Outcome.WAITING,
            Outcome.NOTICE,
            Outcome.NOTHING,
        )
        assert done == (code < 2000)


def test_an_answer_to_another_command_is_refused() -> None:
    other = answer("", trid="<clTRID>ABC-2</clTRID><svTRID>SV-1</svTRID>")

    assert refused(other) == "the answer is to ABC-2, not to ABC-1; ask again"
    assert "the answer is to nothing" in refused(answer("", trid="<svTRID>SV-1</svTRID>"))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (answer("", "9999"), "no result code"),
        (answer("", "yes"), "no result code"),
        (answer("", trid="<clTRID>ABC-1</clTRID>"), "svTRID"),
        (answer('<msgQ count="x" id="1"/>'), "no number"),
        (answer('<msgQ count="99999" id="1"/>'), "0 to 9999"),
        (answer('<msgQ count="1" id=""/>'), "id of msgQ"),
        (answer('<msgQ count="1" id="1"><qDate>yesterday</qDate></msgQ>'), "no time"),
        (answer('<msgQ count="1" id="1"><qDate>2026-01-31T08:00:00</qDate></msgQ>'), "no time"),
        (answer("<resData/>", "1301"), "auditResult is missing"),
        (answer(f'<resData><x xmlns="{PREFIX}"><y/></x></resData>', "1301"), "auditResult is miss"),
        (f"<epp {EPP}><response/></epp>".encode(), "needs a result"),
        (f"<epp {EPP}><greeting/></epp>".encode(), "holds one response"),
        (b"<html><body>502 Bad Gateway</body></html>", "the root is html of no namespace"),
        (b"502 Bad Gateway", "not well-formed"),
        (b"", "not well-formed"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(data: bytes, words: str) -> None:
    assert words in refused(data)


def test_a_long_explanation_is_cut_to_what_can_be_kept() -> None:
    data = answer("").replace(b"words", b"w" * 5000)

    assert len(decode_answer(data, "ABC-1").message) == 1024


def test_an_answer_that_cannot_be_sent_cannot_be_made() -> None:
    with pytest.raises(EppError, match="plain characters"):
        Answer(ResultCode.COMPLETED, "w" * 1025, "ABC-1", "SV-1")
    with pytest.raises(EppError, match="offset"):
        Queue(1, "1", AT.replace(tzinfo=None))
    with pytest.raises(EppError, match="svTRID"):
        encode_answer(Answer(ResultCode.COMPLETED, "", "ABC-1", ""))
