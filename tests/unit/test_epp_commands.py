"""Commands of the registration channel: the drafts' examples, and what a server says to a wrong one."""

import pytest

from sync.channels.epp import (
    MAX_PHOTO_BYTES,
    ChangeEnterprise,
    CheckPrefix,
    Command,
    Contact,
    CreateEnterprise,
    CreatePrefix,
    Enterprise,
    EnterpriseChange,
    EppError,
    LegalPerson,
    PhotoType,
    PollAcknowledge,
    PollRequest,
    Request,
    ResultCode,
    Spelling,
    decode_command,
    encode_command,
)
from tests.support.epp import COMMANDS, ENTERPRISE, LEGAL_PERSON

EPP = 'xmlns="urn:ietf:params:xml:ns:epp-1.0"'
PREFIX = 'xmlns:prefix="urn:ietf:params:xml:ns:idis-entprefix-1.0"'
ENT = 'xmlns:ent="urn:ietf:params:xml:ns:idis-ent-1.0"'


def command(inner: str, client_id: str = "<clTRID>ABC-1</clTRID>") -> bytes:
    return f"<epp {EPP}><command>{inner}{client_id}</command></epp>".encode()


def refused(data: bytes) -> EppError:
    with pytest.raises(EppError) as caught:
        decode_command(data)
    return caught.value


def check_prefix(*, namespace: str = PREFIX, inner: str = "") -> bytes:
    fields = inner or (
        "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix>88.1000.1</prefix:prefix>"
    )
    return command(f"<check><prefix:check {namespace}>{fields}</prefix:check></check>")


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: type(one).__name__)
@pytest.mark.parametrize("spelling", Spelling)
def test_a_command_is_read_as_it_was_written(one: Command, spelling: Spelling) -> None:
    request = decode_command(encode_command(Request(one, "ABC-1", spelling)))

    assert (request.command, request.client_id) == (one, "ABC-1")


def test_a_check_of_a_prefix_is_written_as_the_draft_has_it() -> None:
    data = encode_command(Request(CheckPrefix("88.1000", "88.1000.1"), "ABC-1"))

    assert data.decode() == (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?>\n'
        f"<epp {EPP}><command><check><prefix:check {PREFIX}>"
        "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix>88.1000.1</prefix:prefix>"
        "</prefix:check></check><clTRID>ABC-1</clTRID></command></epp>\n"
    )


def test_polls_are_written_as_the_rfc_has_them() -> None:
    ask = encode_command(Request(PollRequest(), "ABC-1"))
    acknowledge = encode_command(Request(PollAcknowledge("12345"), "ABC-1"))

    assert b'<poll op="req"/>' in ask
    assert b'<poll op="ack" msgID="12345"/>' in acknowledge


def test_an_enterprise_is_written_flat_and_replaced_in_chg_all() -> None:
    create = encode_command(Request(CreateEnterprise("88.1000", ENTERPRISE), "ABC-1"))

    order = ("shrPrefix", "entType", "entCrCode", "entCrtImg", "entCrtImgType", "entNameCn")
    places = [create.index(f"<ent:{name}>".encode()) for name in order]
    assert places == sorted(places)
    assert b"<ent:contact><ent:name>" in create


@pytest.mark.parametrize("spelling", Spelling)
def test_both_spellings_of_the_namespace_are_read_and_remembered(spelling: Spelling) -> None:
    request = decode_command(check_prefix(namespace=f'xmlns:prefix="{spelling.value}"'))

    assert request == Request(CheckPrefix("88.1000", "88.1000.1"), "ABC-1", spelling)


def test_any_prefix_of_the_namespace_comments_and_a_schema_location_are_read() -> None:
    data = (
        f'<epp {EPP} xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' xsi:schemaLocation="urn:ietf:params:xml:ns:epp-1.0 epp-1.0.xsd"><!-- one -->'
        "<command><check>"
        '<check xmlns="urn:ietf:params:xml:ns:prefix-1.0"><shrPrefix> 88.1000 </shrPrefix>'
        "<prefix><![CDATA[88.1000.1]]></prefix></check></check></command></epp>"
    )

    assert decode_command(data.encode()).command == CheckPrefix("88.1000", "88.1000.1")


def test_an_empty_element_says_nothing_of_an_enterprise_and_clears_a_field_of_a_change() -> None:
    change = decode_command(
        command(
            f"<update><ent:update {ENT}><ent:shrUserId>u</ent:shrUserId><ent:entId>7</ent:entId>"
            "<ent:chg><ent:entCountyCode/><ent:entWebSite/></ent:chg></ent:update></update>"
        )
    ).command

    assert change == ChangeEnterprise("u", "7", EnterpriseChange(website=""))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (command("<frobnicate/>"), ResultCode.UNKNOWN_COMMAND),
        (command("<info/>"), ResultCode.UNIMPLEMENTED_COMMAND),
        (command("<login/>"), ResultCode.UNIMPLEMENTED_COMMAND),
        (command(""), ResultCode.COMMAND_SYNTAX_ERROR),
        (command("<check/>"), ResultCode.COMMAND_SYNTAX_ERROR),
        (command("<poll/>"), ResultCode.REQUIRED_PARAMETER_MISSING),
        (command('<poll op="ack"/>'), ResultCode.REQUIRED_PARAMETER_MISSING),
        (command('<poll op="req">now</poll>'), ResultCode.COMMAND_SYNTAX_ERROR),
        (command('<poll op="req"/><extension/>'), ResultCode.UNIMPLEMENTED_EXTENSION),
        (command('<poll op="req"/><poll op="req"/>'), ResultCode.COMMAND_SYNTAX_ERROR),
        (
            command(f"<update><prefix:update {PREFIX}/></update>"),
            ResultCode.UNIMPLEMENTED_COMMAND,
        ),
        (
            check_prefix(namespace='xmlns:prefix="urn:ietf:params:xml:ns:domain-1.0"'),
            ResultCode.UNIMPLEMENTED_OBJECT_SERVICE,
        ),
        (check_prefix(namespace='xmlns:prefix="urn:x"'), ResultCode.UNIMPLEMENTED_OBJECT_SERVICE),
    ],
)
def test_a_wrong_command_gets_the_code_of_the_rfc(data: bytes, code: ResultCode) -> None:
    error = refused(data)

    assert error.code is code
    if b"clTRID" in data:
        assert error.client_id == "ABC-1"


@pytest.mark.parametrize(
    ("inner", "code"),
    [
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix>",
            ResultCode.REQUIRED_PARAMETER_MISSING,
        ),
        (
            "<prefix:prefix>88.1000.1</prefix:prefix><prefix:shrPrefix>88.1000</prefix:shrPrefix>",
            ResultCode.REQUIRED_PARAMETER_MISSING,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix>88.1000.1</prefix:prefix>"
            "<prefix:prefix>88.1000.2</prefix:prefix>",
            ResultCode.COMMAND_SYNTAX_ERROR,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix/>",
            ResultCode.REQUIRED_PARAMETER_MISSING,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix>abc</prefix:prefix>",
            ResultCode.PARAMETER_VALUE_SYNTAX_ERROR,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix>"
            f"<prefix:prefix>88.1000.{'1' * 60}</prefix:prefix>",
            ResultCode.PARAMETER_VALUE_RANGE_ERROR,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix><prefix:prefix>88.2.1</prefix:prefix>",
            ResultCode.PARAMETER_VALUE_POLICY_ERROR,
        ),
        (
            "<prefix:shrPrefix>88.1000</prefix:shrPrefix>"
            "<prefix:prefix><prefix:b/></prefix:prefix>",
            ResultCode.COMMAND_SYNTAX_ERROR,
        ),
        ("text", ResultCode.COMMAND_SYNTAX_ERROR),
    ],
)
def test_order_occurrence_length_and_form_are_checked(inner: str, code: ResultCode) -> None:
    assert refused(check_prefix(inner=inner)).code is code


def test_the_error_says_what_to_send_instead() -> None:
    error = refused(check_prefix(inner="<prefix:prefix>88.1000.1</prefix:prefix>"))

    assert str(error) == "shrPrefix is missing or not in its place; check has shrPrefix, prefix"


def test_an_element_of_another_namespace_is_not_taken_for_ours() -> None:
    inner = (
        "<prefix:shrPrefix>88.1000</prefix:shrPrefix>"
        '<p:prefix xmlns:p="urn:ietf:params:xml:ns:prefix-1.0">88.1000.1</p:prefix>'
    )

    assert refused(check_prefix(inner=inner)).code is ResultCode.REQUIRED_PARAMETER_MISSING


@pytest.mark.parametrize("client_id", ["", "AB", "A" * 65, "A\x01B", " AB"])
def test_a_command_without_a_proper_transaction_identifier_is_not_sent(client_id: str) -> None:
    with pytest.raises(EppError, match="clTRID"):
        encode_command(Request(PollRequest(), client_id))


def test_a_value_that_exists_is_valid() -> None:
    with pytest.raises(EppError, match="phone has a length of 17; 1 to 16 are allowed"):
        Contact("李四", "li.si@example.com", "1" * 17)
    with pytest.raises(EppError, match="name has control characters"):
        Contact("李\x00四", "li.si@example.com", "1")
    with pytest.raises(EppError, match="does not lie below"):
        CreatePrefix("88.1000", "7", "88.1.1")
    with pytest.raises(EppError, match="chg is empty"):
        ChangeEnterprise("u", "7", EnterpriseChange())
    with pytest.raises(EppError, match="msgID"):
        PollAcknowledge("")


def test_two_photos_of_the_largest_size_fit_into_a_message() -> None:
    values = {name: getattr(ENTERPRISE, name) for name in Enterprise.__dataclass_fields__}
    photo = b"\xff" * MAX_PHOTO_BYTES
    legal = {name: getattr(LEGAL_PERSON, name) for name in type(LEGAL_PERSON).__dataclass_fields__}
    large = Enterprise(
        **{
            **values,
            "certificate_photo": photo,
            "introduction": "介" * 1024,
            "legal_person": type(LEGAL_PERSON)(**{**legal, "id_photo": photo}),
        }
    )

    data = encode_command(Request(CreateEnterprise("88.1000", large), "ABC-1"))

    assert decode_command(data).command == CreateEnterprise("88.1000", large)
    with pytest.raises(EppError, match="entCrtImg has a length"):
        Enterprise(**{**values, "certificate_photo": photo + b"\xff"})


def test_a_photo_that_is_no_base64_is_refused() -> None:
    data = encode_command(Request(CreateEnterprise("88.1000", ENTERPRISE), "ABC-1"))
    start = data.index(b"<ent:entCrtImg>") + len("<ent:entCrtImg>")

    error = refused(data[:start] + b"!" + data[start + 1 :])

    assert error.code is ResultCode.PARAMETER_VALUE_SYNTAX_ERROR
    assert "entCrtImg" in str(error)


def test_values_of_the_wrong_type_are_refused() -> None:
    with pytest.raises(EppError, match="email is a int, not a str"):
        Contact("李四", 1, "1")  # type: ignore[arg-type]  # what a careless caller may do
    with pytest.raises(EppError, match="idType is a bool"):
        LegalPerson("张三", True, "1", PhotoType.PNG, b"1")


@pytest.mark.parametrize("one", COMMANDS, ids=lambda one: type(one).__name__)
def test_a_command_shows_nobody_when_it_is_printed(one: Command) -> None:
    shown = repr(Request(one, "ABC-1"))

    for text in ("张三", "李四", "13800000000", "370700199001010019", "li.si", "PNG"):
        assert text not in shown


def test_an_error_does_not_quote_what_was_sent() -> None:
    data = encode_command(Request(CreateEnterprise("88.1000", ENTERPRISE), "ABC-1"))

    error = refused(data.replace(b"<ent:entCrtImgType>PNG", b"<ent:entCrtImgType>13800000000"))

    assert str(error) == "entCrtImgType cannot be read: it is one of JPEG, PNG, BMP"
