"""Answer -> wire and JSON bytes; and the one table from outcomes to Handle response codes and HTTP status.

The bytes of a whole record were made when it was written, so the usual answer is put together by joining.
Source: Handle JSON API as the reference server gives it; RFC 3652 §3 for the bodies.
"""

import orjson

from resolver.answer import Answer, Status
from resolver.handlejson import values_to_json
from resolver.registrar import Verdict
from resolver.wire import (
    ErrorAnswer,
    ReferralAnswer,
    ResponseCode,
    encode_resolution_answer,
    encode_values,
)

CODES = {
    Status.FOUND: ResponseCode.SUCCESS,
    Status.NO_SUCH_HANDLE: ResponseCode.HANDLE_NOT_FOUND,
    Status.INVALID_HANDLE: ResponseCode.INVALID_HANDLE,
    Status.NO_SUCH_VALUE: ResponseCode.VALUES_NOT_FOUND,
    Status.SERVICE_REFERRAL: ResponseCode.SERVICE_REFERRAL,
    Status.PREFIX_REFERRAL: ResponseCode.PREFIX_REFERRAL,
    Status.NOT_RESPONSIBLE: ResponseCode.SERVER_NOT_RESPONSIBLE,
    Status.AUTHENTICATION_NEEDED: ResponseCode.AUTHENTICATION_NEEDED,
    Status.NOT_PERMITTED: ResponseCode.INSUFFICIENT_PERMISSIONS,
    Status.UNAVAILABLE: ResponseCode.SERVER_BUSY,
}
HTTP_STATUS = {
    ResponseCode.SUCCESS: 200,  # of a write that replaced nothing: 201
    ResponseCode.ERROR: 500,
    ResponseCode.SERVER_BUSY: 503,
    ResponseCode.PROTOCOL_ERROR: 400,
    ResponseCode.OPERATION_NOT_SUPPORTED: 501,
    ResponseCode.SERVER_BACKUP: 503,
    ResponseCode.HANDLE_NOT_FOUND: 404,
    ResponseCode.HANDLE_ALREADY_EXISTS: 409,
    ResponseCode.INVALID_HANDLE: 400,
    ResponseCode.VALUES_NOT_FOUND: 400,  # of a resolution: 200
    ResponseCode.VALUE_ALREADY_EXISTS: 409,
    ResponseCode.INVALID_VALUE: 400,
    ResponseCode.SERVER_NOT_RESPONSIBLE: 400,
    ResponseCode.SERVICE_REFERRAL: 300,
    ResponseCode.PREFIX_REFERRAL: 300,
    ResponseCode.NOT_ADMINISTRATOR: 403,
    ResponseCode.INSUFFICIENT_PERMISSIONS: 403,
    ResponseCode.AUTHENTICATION_NEEDED: 403,  # where a login can be asked for: 401, with a challenge
    ResponseCode.AUTHENTICATION_FAILED: 403,
    ResponseCode.INVALID_CREDENTIAL: 403,
}
"""The status of a code in the Handle JSON API (spec "responseCode and HTTP"); of those that are not here: 500."""

_OUTCOMES = {code: status for status, code in CODES.items()}
REFERRALS = frozenset({Status.SERVICE_REFERRAL, Status.PREFIX_REFERRAL})


def json_answer(answer: Answer, asked: str) -> tuple[int, bytes]:
    """Return the HTTP status and the compact JSON body that the Handle JSON API gives for an answer.

    `asked` is the handle as the caller spelled it, and is echoed so.
    """
    parts = [b'{"responseCode":%d' % CODES[answer.status]]
    if answer.message:
        parts += [b',"message":', orjson.dumps(answer.message)]
    parts += [b',"handle":', orjson.dumps(asked)]
    if answer.referral:
        parts += [b',"referralHandle":', orjson.dumps(_text(answer.referral))]
    if answer.status in (Status.FOUND, Status.NO_SUCH_VALUE) or answer.status in REFERRALS:
        parts += [b',"values":', json_values(answer)]
    parts.append(b"}")
    is_empty = answer.status is Status.NO_SUCH_VALUE
    return 200 if is_empty else HTTP_STATUS[CODES[answer.status]], b"".join(parts)


def write_status(verdict: Verdict) -> int:
    """Return the HTTP status that the Handle JSON API gives for what became of a write."""
    if verdict.condition_failed:
        return 412
    if verdict.code is ResponseCode.SUCCESS and verdict.created:
        return 201
    return HTTP_STATUS.get(verdict.code, 500)


def outcome_of(code: ResponseCode) -> Status:
    """Return the outcome that a response code stands for; UNAVAILABLE when no outcome has it."""
    return _OUTCOMES.get(code, Status.UNAVAILABLE)


def json_values(answer: Answer) -> bytes:
    """Return the JSON array of an answer's values."""
    if answer.values is not None:
        return values_to_json(answer.values)
    return answer.stored.json if answer.stored is not None else b"[]"


def json_error(code: ResponseCode, message: str, handle: str | None = None) -> bytes:
    """Return the JSON body of an error that was found before there was an answer."""
    body: dict[str, object] = {"responseCode": int(code)}
    if message:
        body["message"] = message
    if handle is not None:
        body["handle"] = handle
    return orjson.dumps(body)


def wire_body(answer: Answer, asked: bytes) -> bytes:
    """Return the body of a native answer, without digest; `asked` is the handle as the request spelled it."""
    if answer.status is Status.FOUND:
        return encode_resolution_answer(asked, wire_values(answer))
    if answer.status in REFERRALS:
        return ReferralAnswer(answer.referral, answer.values or ()).encode()
    return ErrorAnswer(answer.message.encode()).encode()


def wire_values(answer: Answer) -> bytes:
    """Return the count and the values of an answer, in stored order."""
    if answer.values is not None:
        return encode_values(answer.values)
    return answer.stored.wire if answer.stored is not None else bytes(4)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
