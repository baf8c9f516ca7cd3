"""Answer -> bytes: the codes of every outcome, on the wire and over HTTP, and the bodies."""

import orjson
import pytest

from resolver.answer import Answer, Status, Stored, Tier
from resolver.handlejson import values_to_json
from resolver.render import (
    CODES,
    REFERRALS,
    json_answer,
    json_error,
    json_values,
    wire_body,
    wire_values,
)
from resolver.wire import (
    ErrorAnswer,
    HandleValue,
    ReferralAnswer,
    ResolutionAnswer,
    ResponseCode,
    encode_values,
)

URL = HandleValue(2, b"URL", b"https://example.org/1")
TITLE = HandleValue(1, "标题".encode(), "工业互联网".encode())
STORED = Stored(
    1,
    b"88.1/x",
    60,
    False,
    encode_values([URL, TITLE]),
    values_to_json([URL, TITLE]),
    Tier.MEMORY,
)
FOUND = Answer(Status.FOUND, stored=STORED)

# Status: response code (handle-protocol §6), HTTP status (features-and-contracts §2.5; 402 is 401 where one can log in)
TABLE = {
    Status.FOUND: (1, 200),
    Status.NO_SUCH_HANDLE: (100, 404),
    Status.INVALID_HANDLE: (102, 400),
    Status.NO_SUCH_VALUE: (200, 200),
    Status.NOT_RESPONSIBLE: (301, 400),
    Status.SERVICE_REFERRAL: (302, 300),
    Status.PREFIX_REFERRAL: (303, 300),
    Status.NOT_PERMITTED: (401, 403),
    Status.AUTHENTICATION_NEEDED: (402, 403),
    Status.UNAVAILABLE: (3, 503),
}


def test_every_outcome_has_its_codes() -> None:
    assert set(TABLE) == set(Status)
    for status, (code, http) in TABLE.items():
        assert CODES[status] == code
        found, body = json_answer(Answer(status), "88.1/x")
        assert found == http
        assert orjson.loads(body)["responseCode"] == code


def test_a_whole_record_is_its_stored_bytes() -> None:
    assert wire_body(FOUND, b"88.1/X") == ResolutionAnswer(b"88.1/X", (URL, TITLE)).encode()
    status, body = json_answer(FOUND, "88.1/X")
    assert status == 200
    assert body == b'{"responseCode":1,"handle":"88.1/X","values":' + STORED.json + b"}"


def test_chosen_values_are_encoded_in_the_order_of_their_form() -> None:
    chosen = Answer(Status.FOUND, stored=STORED, values=(URL, TITLE))

    assert ResolutionAnswer.decode(wire_body(chosen, b"88.1/x")).values == (URL, TITLE)
    _, body = json_answer(chosen, "88.1/x")
    assert [value["index"] for value in orjson.loads(body)["values"]] == [1, 2]
    assert orjson.loads(body)["values"][0]["data"]["value"] == "工业互联网"


def test_chosen_and_whole_are_the_same_bytes() -> None:
    chosen = Answer(Status.FOUND, stored=STORED, values=(URL, TITLE))

    assert wire_values(chosen) == wire_values(FOUND)
    assert json_values(chosen) == json_values(FOUND)


def test_no_such_value_is_an_empty_list_over_http_and_an_empty_text_on_the_wire() -> None:
    answer = Answer(Status.NO_SUCH_VALUE, stored=STORED, values=())

    assert json_answer(answer, "88.1/x") == (
        200,
        b'{"responseCode":200,"handle":"88.1/x","values":[]}',
    )
    assert wire_body(answer, b"88.1/x") == ErrorAnswer(b"").encode()


def test_an_empty_record_is_an_empty_list() -> None:
    empty = STORED._replace(wire=bytes(4), json=b"[]")
    answer = Answer(Status.NO_SUCH_VALUE, stored=empty)

    assert orjson.loads(json_answer(answer, "88.1/x")[1])["values"] == []


def test_answers_without_a_record_have_no_values() -> None:
    assert json_values(Answer(Status.NO_SUCH_VALUE)) == b"[]"
    assert wire_values(Answer(Status.FOUND)) == bytes(4)


@pytest.mark.parametrize("status", [Status.NO_SUCH_HANDLE, Status.NOT_PERMITTED])
def test_refusals_have_no_values_and_no_message_of_their_own(status: Status) -> None:
    assert set(orjson.loads(json_answer(Answer(status), "88.1/x")[1])) == {"responseCode", "handle"}


def test_a_message_is_told_in_both() -> None:
    answer = Answer(Status.UNAVAILABLE, message='"busy" 忙')

    assert orjson.loads(json_answer(answer, "88.1/x")[1])["message"] == '"busy" 忙'
    assert wire_body(answer, b"88.1/x") == ErrorAnswer('"busy" 忙'.encode()).encode()


def test_a_service_referral_names_its_handle_and_sites() -> None:
    answer = Answer(Status.SERVICE_REFERRAL, values=(URL,), referral=b"0.NA/88.7")

    assert Status.SERVICE_REFERRAL in REFERRALS
    assert ReferralAnswer.decode(wire_body(answer, b"88.7/x")) == ReferralAnswer(
        b"0.NA/88.7", (URL,)
    )
    body = orjson.loads(json_answer(answer, "88.7/x")[1])
    assert (body["referralHandle"], len(body["values"])) == ("0.NA/88.7", 1)


def test_a_prefix_referral_names_none() -> None:
    answer = Answer(Status.PREFIX_REFERRAL, values=(URL,))

    assert Status.PREFIX_REFERRAL in REFERRALS
    assert ReferralAnswer.decode(wire_body(answer, b"88.1.2/x")) == ReferralAnswer(b"", (URL,))
    body = orjson.loads(json_answer(answer, "88.1.2/x")[1])
    assert "referralHandle" not in body
    assert len(body["values"]) == 1


def test_the_asked_spelling_is_quoted() -> None:
    _, body = json_answer(Answer(Status.NO_SUCH_HANDLE), '88.1/"\n\\棚')

    assert orjson.loads(body)["handle"] == '88.1/"\n\\棚'


def test_errors_before_an_answer_name_what_is_known() -> None:
    code = ResponseCode.PROTOCOL_ERROR

    assert json_error(code, "why") == b'{"responseCode":4,"message":"why"}'
    assert json_error(code, "", "88.1/x") == b'{"responseCode":4,"handle":"88.1/x"}'
