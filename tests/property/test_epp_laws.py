"""Laws of the registration channel: what is written reads back; any bytes are read or refused with EppError."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from sync.channels.epp import (
    Answer,
    CertificateType,
    ChangeEnterprise,
    CheckEnterprise,
    CheckPrefix,
    Contact,
    Created,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    EppError,
    Known,
    LegalPerson,
    Notice,
    PhotoType,
    PollAcknowledge,
    PollRequest,
    Queue,
    ReplaceEnterprise,
    Request,
    ResultCode,
    Spelling,
    decode_answer,
    decode_command,
    encode_answer,
    encode_command,
)
from sync.channels.epp.markup import is_writable
from tests.support.epp import COMMANDS

SIGNS = st.characters(exclude_categories=["Cs"]) | st.sampled_from("<>&\"' \t\r\n]!-张🏭")


def texts(longest: int, shortest: int = 1) -> st.SearchStrategy[str]:
    return st.text(SIGNS, min_size=shortest, max_size=min(longest, 40)).filter(is_writable)


IDS = texts(64)
TRIDS = texts(64, 3)
SHR = st.integers(1, 9999).map(lambda number: f"88.{number}")
PREFIXES = st.tuples(SHR, st.from_regex(r"[0-9A-Za-z_-]{1,9}", fullmatch=True)).map(
    lambda pair: (pair[0], f"{pair[0]}.{pair[1]}")
)
REGIONS = st.from_regex(r"[0-9]{6}", fullmatch=True)
PHOTOS = st.binary(min_size=1, max_size=99)
PHOTO_TYPES = st.sampled_from(PhotoType)
CONTACTS = st.builds(Contact, texts(128), texts(128), texts(16).filter(lambda t: len(t) <= 16))
LEGAL = st.builds(
    LegalPerson,
    texts(128),
    st.integers(1, 6),
    texts(32).filter(lambda text: len(text) <= 32),
    PHOTO_TYPES,
    PHOTOS,
)
ENTERPRISES = st.builds(
    Enterprise,
    nature=st.integers(1, 99),
    credit_code=st.from_regex(r"[0-9A-Z]{18}", fullmatch=True),
    certificate_photo=PHOTOS,
    certificate_photo_type=PHOTO_TYPES,
    unit_name=texts(255),
    province=REGIONS,
    city=REGIONS,
    county=st.none() | REGIONS,
    address=texts(255),
    unit_name_en=st.none() | texts(255),
    address_en=st.none() | texts(255),
    website=st.none() | texts(255),
    introduction=st.none() | texts(1024),
    contact=CONTACTS,
    legal_person=LEGAL,
)
CHANGES = st.builds(
    EnterpriseChange,
    province=st.none() | REGIONS,
    address=st.none() | texts(255),
    website=st.none() | texts(255, 0),
    introduction=st.none() | texts(1024, 0),
    contact=st.none() | CONTACTS,
).filter(lambda change: change != EnterpriseChange())
REQUESTS = st.builds(
    Request,
    st.builds(
        CheckEnterprise,
        IDS,
        st.sampled_from(CertificateType),
        texts(32, 1).map(lambda t: t[:32].strip()).filter(bool),
    )
    | PREFIXES.map(lambda pair: CheckPrefix(*pair))
    | st.builds(CreateEnterprise, SHR, ENTERPRISES)
    | st.builds(lambda pair, ent_id: CreatePrefix(pair[0], ent_id, pair[1]), PREFIXES, IDS)
    | st.builds(ReplaceEnterprise, SHR, IDS, ENTERPRISES)
    | st.builds(ChangeEnterprise, IDS, IDS, CHANGES)
    | st.builds(PollRequest)
    | st.builds(PollAcknowledge, IDS),
    TRIDS,
    st.sampled_from(Spelling),
)
NOTICES = st.builds(
    Notice,
    st.none() | IDS,
    st.none() | IDS,
    st.none() | IDS,
    st.none() | IDS,
    st.none() | st.integers(0, 99),
    st.integers(0, 99),
    st.none() | texts(1024),
)
MOMENTS = st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the bound of a strategy
MESSAGES = st.builds(Queue, st.integers(0, 9999), IDS, st.none() | MOMENTS)
DEQUEUE = st.just(ResultCode.COMPLETED_ACK_TO_DEQUEUE)
OTHERS = st.sampled_from(sorted(set(ResultCode) - {ResultCode.COMPLETED_ACK_TO_DEQUEUE}))
ANSWERS = st.one_of(
    [
        st.builds(
            Answer, code, texts(1024, 0), TRIDS, TRIDS, texts(1024, 0), st.none() | MESSAGES, data
        )
        for code, data in (
            (DEQUEUE, st.none() | NOTICES),
            (OTHERS, st.none() | st.builds(Known, st.none() | IDS) | st.builds(Created, IDS)),
        )
    ]
)
PIECES = st.sampled_from(
    [
        "<epp", ' xmlns="urn:ietf:params:xml:ns:epp-1.0"', ">", "/>", "</epp>", "<command>", "</command>",
        "<check>", "<!DOCTYPE", "<![CDATA[", "]]>", "&amp;", "&x;", "<?xml ", "?>", "<!--", "-->", "<response>",
        '<result code="1000">', "<trID>", "\x00", "\ufffe",
    ]
)  # fmt: skip


@given(REQUESTS)
def test_a_command_reads_back(request: Request) -> None:
    again = decode_command(encode_command(request))

    assert (again.command, again.client_id) == (request.command, request.client_id)


@given(ANSWERS, st.sampled_from(Spelling))
def test_an_answer_reads_back(answer: Answer, spelling: Spelling) -> None:
    assert decode_answer(encode_answer(answer, spelling=spelling), answer.client_id) == answer


@given(
    st.binary(max_size=200) | st.lists(PIECES | st.text(max_size=3)).map("".join).map(str.encode)
)
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    read_or_refuse(data)


@given(st.sampled_from(COMMANDS), st.data())
def test_any_broken_command_is_read_or_refused(command: object, data: st.DataObject) -> None:
    whole = encode_command(Request(command, "ABC-1"))  # type: ignore[arg-type]  # sampled from the union
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 40)))

    read_or_refuse(whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:])


def read_or_refuse(data: bytes) -> None:
    try:
        request = decode_command(data)
    except EppError as error:
        Answer(error.code, str(error), error.client_id, "SV-1")  # what a server makes of it
    else:
        if request.client_id:
            assert decode_command(encode_command(request)) == request
    try:
        decode_answer(data, "ABC-1")
    except EppError:
        return
